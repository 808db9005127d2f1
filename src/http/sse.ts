import { PassThrough, pipeline, type Readable, Transform, type Writable } from 'node:stream';
import type { FastifyReply } from 'fastify';

/** Time between two comments after the end of a client's data: writing shows whether it has left (connections.ts). */
const CHECK_MS = 500;
/** A comment, which clients ignore. */
const HEARTBEAT = ': heartbeat\n\n';
const END_OF_EVENT = Buffer.from('\n\n');
/** Unread bytes past which a client is sent no more progress events. */
const MAX_UNREAD_BYTES = 256_000;

const HEADERS = {
  'content-type': 'text/event-stream',
  'cache-control': 'no-store',
  'x-accel-buffering': 'no', // nginx would hold the events back
};

/** One server-sent event. JSON contains no line breaks, so one data line is enough. */
export function formatEvent(event: string | undefined, data: object, id?: number): string {
  const lines = [`data: ${JSON.stringify(data)}\n\n`];
  if (event !== undefined) lines.unshift(`event: ${event}\n`);
  if (id !== undefined) lines.unshift(`id: ${id}\n`);
  return lines.join('');
}

/** Replies with formatted events. A comment is sent while there are none: proxies close silent connections. */
export function sendEvents(reply: FastifyReply, events: Readable) {
  let betweenEvents = true;
  const stream = new Transform({
    transform(chunk: Buffer, _, done) {
      betweenEvents = chunk.subarray(-2).equals(END_OF_EVENT);
      done(null, chunk);
    },
  });
  const beat = () => {
    if (stream.writable && stream.writableLength === 0 && betweenEvents) stream.write(HEARTBEAT);
  };
  const heartbeat = setInterval(beat, reply.server.heartbeatMs);
  const { socket } = reply.request.raw;
  const onEnd = () => {
    beat();
    setTimeout(beat, CHECK_MS);
  };
  socket.once('end', onEnd);
  pipeline(events, stream, () => {
    clearInterval(heartbeat);
    socket.off('end', onEnd);
  });
  return reply.headers(HEADERS).send(stream);
}

/**
 * A reply of server-sent events that are pushed one by one. Nothing waits for the client to read, so that a slow client
 * never slows the batch that its picture is in.
 */
export class EventStream {
  readonly #source = new PassThrough({ highWaterMark: MAX_UNREAD_BYTES });

  /** Sends the headers. */
  constructor(reply: FastifyReply) {
    sendEvents(reply, this.#source);
  }

  send(event: string | undefined, data: object): void {
    if (this.#source.writable) this.#source.write(formatEvent(event, data));
  }

  /** Sends an event whose JSON is made piece by piece, as fast as the client reads it. */
  async sendPieces(event: string, data: Iterable<string>): Promise<void> {
    const source = this.#source;
    if (source.writable) source.write(`event: ${event}\ndata: `);
    for (const piece of data) {
      if (!source.writable) return; // the client disconnected
      if (!source.write(piece)) await drained(source);
    }
    if (source.writable) source.write('\n\n');
  }

  /** Whether the client has much left to read. Progress is not sent then, since later progress supersedes it. */
  get isBehind(): boolean {
    return this.#source.writableLength > MAX_UNREAD_BYTES;
  }

  /** For progress. */
  sendUnlessBehind(event: string, data: object): void {
    if (!this.isBehind) this.send(event, data);
  }

  end(): void {
    this.#source.end();
  }
}

/** Resolves when a stream can take more, or is closed. */
function drained(stream: Writable): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      stream.off('drain', done).off('close', done);
      resolve();
    };
    stream.on('drain', done).on('close', done);
    if (stream.destroyed) done();
  });
}
