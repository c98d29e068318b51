import implementation from "./lib/hono.cjs";

export const { authfi, HonoAuth } = implementation;
export default implementation.authfi;
