import implementation from "./lib/next.cjs";

export const { authfi, NextAuth } = implementation;
export default implementation.authfi;
