import { defineConfig } from 'vitest/config';

/**
 * A test file belongs to `unit` unless it matches one of these patterns. Unit tests take seconds and need nothing but
 * this repository: tests/helpers/unit.ts makes a unit test fail when it starts a process. A file whose tests start
 * worker processes, a server, Redis or a browser, or wait for real time, belongs here.
 */
const INTEGRATION = [
  'tests/{cli,fuzz,http,log,playground}/**/*.test.ts',
  'tests/engine/{busy-start,engines,failure,hung,int8,pool,refiner,tfjs,webgpu}.test.ts',
  'tests/generation/inpaint.test.ts',
  'tests/image/{browser,rewritten}.test.ts',
  'tests/jobs/{redis-*,webhook}.test.ts',
  'tests/{model/bad-folders,registry/{registry,reload}}.test.ts',
];

export default defineConfig({
  test: {
    // Integration tests start processes of their own: more test files at a time than cores only slow all of them.
    maxWorkers: 2,
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['tests/**/*.test.ts'],
          exclude: INTEGRATION,
          setupFiles: 'tests/helpers/unit.ts',
          testTimeout: 60_000,
          expect: { poll: { timeout: 5_000, interval: 5 } },
        },
      },
      {
        extends: true,
        test: {
          name: 'integration',
          include: INTEGRATION,
          globalSetup: 'tests/helpers/build-page.ts',
          // Real models on two cores, perhaps with other work beside: these limits only end what hangs.
          testTimeout: 120_000,
          hookTimeout: 120_000,
          expect: { poll: { timeout: 30_000, interval: 20 } },
        },
      },
    ],
  },
});
