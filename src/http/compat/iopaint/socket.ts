import { randomUUID } from 'node:crypto';
import type { FastifyInstance } from 'fastify';

/** Packets of Engine.IO 4, over HTTP long-polling: the type of each is its first character. */
const OPEN = '0';
const CLOSE = '1';
/** A message with a packet of Socket.IO 5: CONNECT_ERROR, after which a client does not try again. */
const REFUSED = '44{"message":"no events"}';
/** Stands between the packets of an answer. */
const SEPARATOR = '\x1e';

/** The client's packets are a few characters. */
const MAX_BYTES = 4096;

/**
 * IOPaint's page asks a Socket.IO server for the progress of fills, which it shows for other types of models only. Told
 * that there are no events, it stops asking. No state is kept, and no key is needed.
 */
export default async function socket(app: FastifyInstance) {
  const schema = { hide: true } as never;
  const parser = { parseAs: 'string', bodyLimit: MAX_BYTES } as const;
  app.addContentTypeParser('text/plain', parser, (_, packets, done) => done(null, packets));
  app.get<{ Querystring: { sid?: string } }>('/socket.io/', { schema }, ({ query }, reply) => {
    reply.type('text/plain; charset=UTF-8').header('cache-control', 'no-store');
    if (query.sid !== undefined) return reply.send(`${REFUSED}${SEPARATOR}${CLOSE}`);
    const session = { sid: randomUUID(), upgrades: [], pingInterval: 25_000, pingTimeout: 20_000 };
    return reply.send(`${OPEN}${JSON.stringify(session)}`);
  });
  app.post('/socket.io/', { schema, bodyLimit: MAX_BYTES }, (_, reply) =>
    reply.type('text/plain; charset=UTF-8').send('ok'),
  );
}
