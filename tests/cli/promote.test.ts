import { expect, onTestFinished, test } from 'vitest';
import { ModelDir } from '../helpers/model-dir.ts';
import { npmRun } from './run.ts';

test('npm run promote and rollback say what they did, and a sentence where they cannot', async () => {
  const models = await ModelDir.create();
  onTestFinished(() => models.remove());
  const { id } = models;
  for (const version of ['1', '2']) await models.add(version);
  const run = (name: string, ...args: string[]) => npmRun(name, args, { MODEL_DIR: models.root });
  expect(run('promote', `${id}@1`)).toMatchObject({
    status: 0,
    stdout: expect.stringContaining(`${id}@1 serves; running services follow`),
  });
  expect(run('promote', `${id}@2`).status).toBe(0);
  expect(run('rollback').stdout).toContain(`${id}@1 serves`);
  expect(run('promote', `${id}@3`)).toMatchObject({
    status: 1,
    stderr: expect.stringMatching(/^.*model\.json cannot be read.*\n$/),
  });
  expect(run('promote')).toMatchObject({ status: 1, stderr: expect.stringMatching(/^say promote/) });
});
