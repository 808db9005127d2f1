import type { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';
import type { Config } from '../../config/settings.ts';
import { usableMemory } from '../../machine.ts';
import { collectJson, readJsonBody } from '../json-body.ts';
import { Problem } from '../problem.ts';
import { bodyTooLarge, type Upload, Uploads } from '../uploads.ts';

/** Time for which the rest of a refused body is read and discarded. */
const LINGER_MS = 5_000;

/** Share of the memory limit for request bodies when MAX_UPLOADS_BYTES is not set. */
const UPLOADS_SHARE = 1 / 16;

const BOUNDARY = /;\s*boundary=("[^"]+"|[^\s;"]+)/i;

declare module 'fastify' {
  interface FastifyRequest {
    /** Its body, on routes that take one. */
    upload: Upload;
  }
  interface FastifyContextConfig {
    /** The route reads bodies of every content type, and decodes them itself. */
    anyType?: boolean;
  }
}

/** Limits on request bodies: their size, their type, and what happens to one that is answered before it has ended. */
export default fp(function bodies(app: FastifyInstance, { config }: { config: Config }, done: () => void) {
  const limit = config.MAX_UPLOAD_BYTES;
  const total = config.MAX_UPLOADS_BYTES ?? Math.max(limit, Math.floor(usableMemory() * UPLOADS_SHARE));
  const uploads = new Uploads({ perBody: limit, total, idleMs: config.UPLOAD_IDLE_MS });
  app.decorateRequest('upload');

  // Checked before a byte of the body is read, when the client announces its size.
  app.addHook('onRequest', async (request) => {
    if (Number(request.headers['content-length'] ?? 0) > limit) throw bodyTooLarge(limit);
    // Many clients set a content type on every request. Without a body, as of most DELETE requests, it says nothing; where
    // any type will do, even one that cannot be parsed will.
    const { schema, config: route } = request.routeOptions;
    if (route.anyType || (!schema?.body && isEmpty(request))) delete request.raw.headers['content-type'];
  });

  // When the answer was sent before the body had ended, the rest is read and discarded for a while: a client that is still
  // sending would otherwise get a TCP reset instead of the answer. Then the connection is closed.
  app.addHook('onSend', async ({ raw }) => {
    if (!raw.complete) closeAfterBody(raw);
  });
  app.addHook('onResponse', async ({ raw }) => {
    if (raw.complete || raw.destroyed) return;
    raw.unpipe();
    raw.resume();
    const timer = setTimeout(() => raw.destroy(), LINGER_MS);
    raw.once('close', () => clearTimeout(timer));
  });

  const parse = app.getDefaultJsonParser('error', 'error');
  app.removeAllContentTypeParsers(); // Fastify's own would keep a body that neither MAX_UPLOADS_BYTES nor UPLOAD_IDLE_MS bounds
  app.addContentTypeParser('application/json', async (request: FastifyRequest, body: IncomingMessage) => {
    const { json } = request.routeOptions.config;
    const bytes = await collectJson(body, request.upload, json);
    return readJsonBody(
      bytes,
      (text) =>
        new Promise((resolve, reject) => {
          parse(request, text, (error, value) => (error ? reject(error) : resolve(value)));
        }),
      json,
    );
  });

  app.addHook('preParsing', async (request, reply) => {
    request.upload = uploads.open(reply.raw); // also where the route takes no body: one may be sent all the same
    const types = (request.routeOptions.schema?.body as { content?: object } | undefined)?.content;
    if (!types) return;
    if (!request.routeOptions.config.anyType) assertReadable(request, reply, types);
  });
  done();
});

/**
 * Node calls destroySoon when the answer has been written and the connection ends with it. The reset which that causes while
 * a body arrives can overtake the answer, so only our half is closed until the body has ended.
 */
function closeAfterBody(request: IncomingMessage): void {
  const { socket } = request;
  const close = () => Socket.prototype.destroySoon.call(socket); // not that of an earlier request on this connection
  socket.destroySoon = () => {
    if (request.complete) return close();
    socket.end();
    request.once('end', close);
  };
}

/** Refuses a body of a content type that the route does not list, or in an encoding. */
function assertReadable(request: FastifyRequest, reply: FastifyReply, types: object): void {
  const { 'content-type': given, 'content-encoding': encoding = 'identity' } = request.headers;
  // Without this, Fastify would skip validation for a content type that the route does not list.
  const type = given?.split(';')[0].trim().toLowerCase() ?? 'none';
  if (!Object.hasOwn(types, type))
    throw new Problem('unsupported-media-type', `send ${Object.keys(types).join(' or ')}, not ${type}`);
  if (encoding.trim().toLowerCase() !== 'identity') {
    reply.header('accept-encoding', 'identity'); // RFC 9110, section 15.5.16
    const detail = `content-encoding ${encoding} is not supported: send the body uncompressed`;
    throw new Problem('unsupported-media-type', detail);
  }
  if (type === 'multipart/form-data' && !BOUNDARY.test(given ?? '')) {
    const detail =
      'the content-type multipart/form-data has no boundary: let your HTTP client set this header';
    throw new Problem('invalid-request', detail);
  }
}

/** Whether a request has neither a length nor chunks. */
export function isEmpty({ headers }: FastifyRequest): boolean {
  return headers['transfer-encoding'] === undefined && Number(headers['content-length'] ?? 0) === 0;
}
