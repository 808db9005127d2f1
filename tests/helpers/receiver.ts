import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';

export interface Call {
  method?: string;
  url?: string;
  headers: IncomingHttpHeaders;
  text: string;
}

/** A server that listens for webhooks and keeps what it is sent; `answer` decides its status and headers. */
export async function startReceiver(answer = (_: Call): [number, OutgoingHttpHeaders?] => [204]) {
  const calls: Call[] = [];
  const server = createServer(async (request, response) => {
    let text = '';
    for await (const chunk of request) text += chunk;
    const call = { method: request.method, url: request.url, headers: request.headers, text };
    calls.push(call);
    response.writeHead(...answer(call)).end();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return { server, calls, origin: `http://127.0.0.1:${port}` };
}

/** The same, closed when the test is over. */
export async function receiverForTest(...args: Parameters<typeof startReceiver>) {
  const receiver = await startReceiver(...args);
  onTestFinished(() => void receiver.server.close());
  return receiver;
}
