export * from "./index.cjs";
export { authfi as default } from "./index.cjs";
