import { expect, test } from 'vitest';
import { readConfig } from '../../src/config/read.ts';
import { npmRun } from './run.ts';

test('the entry that it prints is a valid API_KEYS', () => {
  const entry = npmRun('key', ['alice']).stdout.match(/alice:[0-9a-f]{64}/)?.[0] ?? '';
  expect(readConfig({ API_KEYS: entry }).API_KEYS).toMatchObject([{ name: 'alice' }]);
});

test.each(['--help', '-h'])('%s prints the usage and creates no key', (flag) => {
  const { status, stdout, stderr } = npmRun('key', [flag]);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  expect(stdout).toContain('npm run key -- [NAME]');
  expect(stdout).not.toMatch(/ddpm_|[0-9a-f]{64}/);
});

test.each([
  [['alice smith'], "'alice smith' is not a valid name; use up to 64 letters, digits, '.', '_' and '-'."],
  [['alice', 'bob'], 'Expected one name, not 2.'],
  [['--name', 'alice'], "Unknown option '--name'."],
])('%j is rejected with a sentence and exit code 1', (args, sentence) => {
  expect(npmRun('key', args)).toEqual({
    status: 1,
    stdout: '',
    stderr: `${sentence}\nUse --help to see how it is called.\n`,
  });
});
