export * from "./hono.cjs";
export { authfi as default } from "./hono.cjs";
