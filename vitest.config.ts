import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['tests/**/*.test.ts'],
    // Real models on two cores: generous, since no test asserts a time.
    expect: { poll: { timeout: 60_000, interval: 20 } },
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // Test files start engine processes of their own; more files at once than cores only slows all of them.
    maxWorkers: 2,
  },
});
