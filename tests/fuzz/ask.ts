import { createConnection } from 'node:net';
import type { Case } from './cases.ts';

export interface Answer {
  status: number;
  headers: Record<string, string>;
  body: Buffer;
}

/** After this time without data, the client of an `endless` case closes its sending side. */
const PATIENCE_MS = 500;

/** Sends a case on a new connection. Resolves to undefined if the connection closes without a response. */
export function ask(
  url: string,
  { bytes, endless }: Pick<Case, 'bytes' | 'endless'>,
): Promise<Answer | undefined> {
  const { hostname: host, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    const socket = createConnection({ host, port: Number(port) });
    const timer = setTimeout(() => socket.destroy(new Error('no answer within a minute')), 60_000);
    socket.write(bytes);
    // Not immediately: Node treats a half-closed connection as a disconnect.
    if (endless) socket.setTimeout(PATIENCE_MS, () => socket.end());
    socket.on('data', (data) => chunks.push(data));
    socket.on('error', (error) => (chunks.length === 0 ? reject(error) : undefined));
    socket.on('close', () => {
      clearTimeout(timer);
      resolve(parse(Buffer.concat(chunks)));
    });
  });
}

function parse(bytes: Buffer): Answer | undefined {
  const end = bytes.indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  const [first, ...lines] = bytes.toString('latin1', 0, end).split('\r\n');
  const status = Number(first.split(' ')[1]);
  const rest = bytes.subarray(end + 4);
  if (status === 100) return parse(rest);
  const headers = Object.fromEntries(
    lines.map((line) => [
      line.slice(0, line.indexOf(':')).toLowerCase(),
      line.slice(line.indexOf(':') + 1).trim(),
    ]),
  );
  return { status, headers, body: bodyOf(headers, rest) };
}

/** The body of the first response. Bytes after it answer what the service parsed as a second request. */
function bodyOf(headers: Answer['headers'], rest: Buffer): Buffer {
  if (headers['transfer-encoding'] === 'chunked') return unchunked(rest);
  return rest.subarray(0, Number(headers['content-length'] ?? rest.length));
}

function unchunked(bytes: Buffer): Buffer {
  const chunks: Buffer[] = [];
  for (let at = 0; ; ) {
    const line = bytes.indexOf('\r\n', at);
    const length = Number.parseInt(bytes.toString('latin1', at, line), 16);
    if (line < 0 || !length) return Buffer.concat(chunks);
    chunks.push(bytes.subarray(line + 2, line + 2 + length));
    at = line + 2 + length + 2;
  }
}

/** Problem types that always refer to a field. */
const OF_A_FIELD =
  /(unreadable-picture|unsupported-picture|picture-too-large|mask-mismatch|empty-mask|unknown-model)$/;

/** Describes what is wrong with a response to a case; undefined if no error is found. */
export function complaint(
  { endless, field, locked, foreign }: Case,
  answer: Answer | undefined,
): string | undefined {
  if (!answer) return endless ? undefined : 'closed without an answer';
  const { status, headers, body } = answer;
  if (status >= 500 && status !== 503) return `${status}: ${body}`;
  if (!headers['x-request-id']) return `${status} without x-request-id`;
  if (headers['x-injected']) return 'a response header injected by the client';
  if (locked && status < 400) return `${status} without a valid key`;
  if (field && status < 400 && status !== 304) return `${status} for a bad ${field}`;
  if (status < 400) return undefined;
  if (foreign) {
    const { error } = JSON.parse(body.toString());
    return typeof error === 'string' && error.length > 2 ? undefined : `${status} with ${body}`;
  }
  if (!headers['content-type']?.includes('application/problem+json'))
    return `${status} as ${headers['content-type']}`;
  if (body.length === 0) return undefined; // response to HEAD
  const problem = JSON.parse(body.toString());
  if (problem.status !== status || !problem.type?.startsWith('/problems/') || !(problem.detail?.length > 8))
    return `${status} with ${body}`;
  const pointers: string[] = problem.errors?.map(({ pointer }: { pointer: string }) => pointer) ?? [];
  if (OF_A_FIELD.test(problem.type) && pointers.length === 0 && !headers.allow)
    return `${problem.type} without a field`;
  if (
    field &&
    status !== 429 &&
    !pointers.some((pointer) => pointer === `#/${field}` || pointer.startsWith(`#/${field}/`))
  )
    return `${status} for a bad ${field} that names ${pointers.join() || 'no field'}: ${problem.detail}`;
  return undefined;
}
