import implementation from "./lib/testing.cjs";

export const { TestIssuer } = implementation;
