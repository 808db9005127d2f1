import { expect, test } from 'vitest';
import { clientOf } from '../../src/http/plugins/rate-limit.ts';

test.each([
  ['192.0.2.1', '192.0.2.1'],
  ['192.0.2.1:5678', '192.0.2.1'],
  ['::ffff:192.0.2.1', '192.0.2.1'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::'],
  ['[2001:db8:1:2:3:4:5:6]', '2001:db8:1:2::'],
  ['[2001:db8:1:2:3:4:5:6]:5678', '2001:db8:1:2::'],
])('the client at %s is %s, whatever its port', (ip, client) => {
  expect(clientOf({ ip, apiKey: undefined })).toBe(`address:${client}`);
});
