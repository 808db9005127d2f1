import { apiKeys, hashKey, newKey } from '../config/api-keys.ts';
import { runCommand, UsageError } from './command.ts';

const USAGE = `Creates an API key and its entry for API_KEYS. Nothing is stored.

Usage:
  npm run key -- [NAME]
  node dist/cli/key.js [NAME]

NAME identifies the client in logs and as the owner of its jobs: up to 64
letters, digits, '.', '_' and '-'. Default: client.

Options:
  -h, --help  Show this help.`;

await runCommand(USAGE, (args) => {
  if (args.length > 1) throw new UsageError(`Expected one name, not ${args.length}.`);
  const [name = 'client'] = args;
  const key = newKey();
  const entry = `${name}:${hashKey(key).toString('hex')}`;
  if (!apiKeys.safeParse(entry).success) {
    throw new UsageError(`'${name}' is not a valid name; use up to 64 letters, digits, '.', '_' and '-'.`);
  }
  console.log(`key, for the client, shown only now:  ${key}`);
  console.log(`entry, for API_KEYS:                  ${entry}`);
});
