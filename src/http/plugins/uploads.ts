import multipart from '@fastify/multipart';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';
import { z } from 'zod';
import type { Config } from '../../config/settings.ts';
import { fieldProblem, Problem } from '../problem.ts';

const LINGER_MS = 5_000;
const LIMITS = { files: 8, fields: 32, parts: 40, fieldSize: 65_536, fieldNameSize: 100 };

/** multipart/form-data, read whole into memory, and never more of it than MAX_UPLOAD_BYTES, all parts together. */
export default fp(async function uploads(app: FastifyInstance, { config }: { config: Config }) {
  await app.register(multipart, { throwFileSizeLimit: false });
  const limit = config.MAX_UPLOAD_BYTES;
  const tooLarge = () => new Problem('upload-too-large', `the request body is larger than ${limit} bytes`);

  // Said before a byte of the body is read, where the client announces its size. Node reads on what is still being
  // sent after the answer, so the client gets to see it.
  app.addHook('onRequest', async (request) => {
    if (Number(request.headers['content-length'] ?? 0) > limit) throw tooLarge();
  });

  // An answer that came before the end of the body: the rest is read and dropped for a while, so that a client that
  // is busy sending gets to see the answer instead of a reset; then the connection is closed on it.
  app.addHook('onResponse', async ({ raw }) => {
    if (raw.complete || raw.destroyed) return;
    raw.unpipe();
    raw.resume();
    const timer = setTimeout(() => raw.destroy(), LINGER_MS);
    raw.once('close', () => clearTimeout(timer));
  });

  // Fastify validates a body of a type that the route does not list with nothing at all.
  app.addHook('preParsing', async (request) => {
    const types = (request.routeOptions.schema?.body as { content?: object } | undefined)?.content;
    const type = request.headers['content-type']?.split(';')[0].trim().toLowerCase() ?? 'none';
    if (types && !Object.hasOwn(types, type)) {
      throw new Problem('unsupported-media-type', `send ${Object.keys(types).join(' or ')}, not ${type}`);
    }
  });

  // A part never waits to be read: all of them fit in memory, and the parser (@fastify/busboy 3.2) would wait for ever
  // after one that it skips for having no name, if that is the last and larger than fileHwm.
  const options = { limits: { ...LIMITS, fileSize: limit + 1 }, fileHwm: limit + 1 };

  app.decorateRequest('readForm', async function (this: FastifyRequest, schema: z.ZodObject) {
    if (!this.isMultipart()) return;
    const body: Record<string, unknown> = {};
    let left = limit;
    try {
      for await (const part of this.parts(options)) {
        const name = part.fieldname;
        if (name === undefined) throw new Problem('invalid-request', 'a part of the form has no name');
        if (Object.hasOwn(body, name))
          throw fieldProblem('invalid-request', name, `${name} is sent twice; send one`);
        if (part.type === 'field') {
          left -= String(part.value).length;
          body[name] = typeof part.value === 'string' ? fromText(part.value, schema.shape[name]) : part.value;
        } else {
          const chunks: Buffer[] = [];
          for await (const chunk of part.file) {
            left -= chunk.length;
            if (left < 0) throw tooLarge();
            chunks.push(chunk);
          }
          body[name] = Buffer.concat(chunks);
        }
        if (left < 0) throw tooLarge();
      }
    } catch (error) {
      // Whatever is still coming is read and dropped: a client that is busy sending does not see an answer.
      this.raw.unpipe();
      this.raw.resume();
      throw formProblem(error);
    }
    this.body = body;
  });
});

declare module 'fastify' {
  interface FastifyRequest {
    /** Reads a multipart body into `body`, its texts as the schema's fields want them. Nothing for other bodies. */
    readForm(schema: z.ZodObject): Promise<void>;
  }
}

function formProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if ((error as { statusCode?: number }).statusCode === 413) {
    const { files, fields, parts } = LIMITS;
    return new Problem(
      'upload-too-large',
      `a form has at most ${parts} parts: ${files} files, ${fields} fields`,
    );
  }
  return new Problem('invalid-request', 'the multipart body cannot be read: it is cut short or malformed');
}

const NUMBER = /^-?\d+(\.\d+)?$/;

/** A form has only texts: those of numeric fields become numbers, if they are written as such; lists are split at commas. */
function fromText(text: string, field: z.ZodType | undefined): unknown {
  const type = field && jsonType(field);
  if (type === 'array') return text.split(',').map((item) => toNumber(item.trim()));
  return type === 'integer' || type === 'number' ? toNumber(text) : text;
}

function toNumber(text: string): unknown {
  return NUMBER.test(text) ? Number(text) : text; // what is no number stays for validation to refuse
}

function jsonType(field: z.ZodType): unknown {
  return z.toJSONSchema(field, { io: 'input', unrepresentable: 'any' }).type;
}
