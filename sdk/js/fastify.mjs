import implementation from "./lib/fastify.cjs";

export const { authfi, FastifyAuth } = implementation;
export default implementation.authfi;
