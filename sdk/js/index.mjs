import implementation from "./lib/index.cjs";

export const { authfi, Auth, Refusal, User, allows } = implementation;
export default implementation.authfi;
