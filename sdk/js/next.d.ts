export * from "./next.cjs";
export { authfi as default } from "./next.cjs";
