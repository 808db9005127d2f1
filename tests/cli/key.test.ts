import { expect, test } from 'vitest';
import { readConfig } from '../../src/config/settings.ts';
import { npmRun } from './run.ts';

test('npm run key: a bad name is a sentence', () => {
  const { status, stderr, stdout } = npmRun('key', ['alice smith']);
  expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
  expect(stderr.trim()).toBe("'alice smith' cannot be a name: up to 64 letters, digits, '.', '_' and '-'.");
});

test('npm run key: what it prints is an entry that API_KEYS takes', () => {
  const entry = npmRun('key', ['alice']).stdout.match(/alice:[0-9a-f]{64}/)?.[0] ?? '';
  expect(readConfig({ API_KEYS: entry }).API_KEYS).toMatchObject([{ name: 'alice' }]);
});
