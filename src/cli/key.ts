/** npm run key -- NAME: a new API key, and the entry for API_KEYS that lets it in. */
import { apiKeys, hashKey, newKey } from '../config/api-keys.ts';

const [name = 'client'] = process.argv.slice(2);
const key = newKey();
const entry = `${name}:${hashKey(key).toString('hex')}`;
if (!apiKeys.safeParse(entry).success) {
  console.error(`'${name}' cannot be a name: up to 64 letters, digits, '.', '_' and '-'.`);
  process.exit(1);
}
console.log(`key, for the client, shown only now:  ${key}`);
console.log(`entry, for API_KEYS:                  ${entry}`);
