export * from "./fastify.cjs";
export { authfi as default } from "./fastify.cjs";
