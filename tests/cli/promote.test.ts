import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ModelDir } from '../helpers/model-dir.ts';
import { npmRun } from './run.ts';

let models: ModelDir;
let id: string;
beforeAll(async () => {
  models = await ModelDir.create();
  id = models.id;
  for (const version of ['1', '2']) await models.add(version);
});
afterAll(() => models.remove());

const run = (name: string, args: string[] = [], env: Record<string, string> = {}) =>
  npmRun(name, args, { MODEL_DIR: models.root, ...env });
const serving = () => readFile(path.join(models.root, 'serving.json'), 'utf8');

test('promote and rollback report the new default model', () => {
  expect(run('promote', [`${id}@1`])).toMatchObject({
    status: 0,
    stdout: expect.stringContaining(
      `the default model is now ${id}@1; running services follow within 10000 ms, or on SIGHUP.`,
    ),
  });
  expect(run('promote', [`${id}@2`]).status).toBe(0);
  expect(run('rollback').stdout).toContain(`the default model is now ${id}@1;`);
});

test('promote reports that DEFAULT_MODEL takes precedence', () => {
  const { stdout } = run('promote', [`${id}@1`], { DEFAULT_MODEL: `${id}@2`, RELOAD_INTERVAL_MS: '0' });
  expect(stdout).toMatch(/follow on SIGHUP\.\nDEFAULT_MODEL is set and takes precedence/);
});

test.each([
  ['promote', '--help'],
  ['rollback', '-h'],
])('npm run %s -- %s prints the usage and changes nothing', async (name, flag) => {
  const before = await serving();
  const { status, stdout, stderr } = run(name, [flag], { PORT: 'not a port' });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  expect(stdout).toContain('npm run promote -- ID@VERSION');
  expect(await serving()).toBe(before);
});

test.each([
  ['promote', [], 'promote expects one argument, ID@VERSION, not 0.'],
  ['promote', ['a@1', 'b@1'], 'promote expects one argument, ID@VERSION, not 2.'],
  ['promote', ['faces@one'], "'faces@one' must be like "],
  ['promote', ['faces@1', '--force'], "Unknown option '--force'."],
  ['rollback', ['faces@1'], 'rollback expects no arguments.'],
])('npm run %s -- %j is rejected with a sentence and exit code 1', async (name, args, sentence) => {
  const before = await serving();
  const { status, stdout, stderr } = run(name, args);
  expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
  expect(stderr.split('\n')).toEqual([
    expect.stringContaining(sentence),
    'Use --help to see how it is called.',
    '',
  ]);
  expect(await serving()).toBe(before);
});

test.each([
  ['a missing version', {}, '3', /^.*model\.json cannot be read: the file is missing.*\n$/],
  ['an invalid setting', { PORT: 'x' }, '1', /^PORT is 'x'; it must be a whole number.*\n$/],
])('%s is an error with one sentence and exit code 1', (_, env, version, sentence) => {
  expect(run('promote', [`${id}@${version}`], env)).toEqual({
    status: 1,
    stdout: '',
    stderr: expect.stringMatching(sentence),
  });
});
