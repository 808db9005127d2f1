import multipart from '@fastify/multipart';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';
import { z } from 'zod';
import type { Config } from '../../config/settings.ts';
import { Chunks } from '../chunks.ts';
import { fieldProblem, Problem } from '../problem.ts';

/** What a form may contain. */
export interface FormLimits {
  files: number;
  fields: number;
  /** Bytes of a field. The rest of a longer one is dropped. */
  fieldSize: number;
}
const LIMITS: FormLimits = { files: 8, fields: 32, fieldSize: 65_536 };
const FIELD_NAME_BYTES = 100;

/** Reads multipart/form-data into memory: at most MAX_UPLOAD_BYTES, of parts and of whatever is around them. */
export default fp(async function forms(app: FastifyInstance, { config }: { config: Config }) {
  await app.register(multipart, { throwFileSizeLimit: false });
  const limit = config.MAX_UPLOAD_BYTES;

  // fileHwm is as large as the limit, so that no part waits to be read: the parser (@fastify/busboy 3.2) never ends when
  // the last part has no name and is larger than fileHwm.
  const optionsOf = (limits: FormLimits) => ({
    limits: {
      ...limits,
      parts: limits.files + limits.fields,
      fieldNameSize: FIELD_NAME_BYTES,
      fileSize: limit + 1,
    },
    fileHwm: limit + 1,
  });

  app.decorateRequest('readForm', async function (this: FastifyRequest, schema, limits = LIMITS) {
    if (!this.isMultipart()) return;
    try {
      this.body = await Promise.race([readParts(this, schema, limits), refused(this), this.upload.stalled]);
    } catch (error) {
      // The rest is read and discarded, so that a client that is still sending gets to see the answer.
      this.raw.unpipe();
      this.raw.resume();
      throw formProblem(error, limits);
    } finally {
      this.upload.end();
    }
  });

  /** An empty field, and a file input without a file, are how a browser's form says that a field is absent. */
  async function readParts(request: FastifyRequest, { shape }: z.ZodObject, limits: FormLimits) {
    const body: Record<string, unknown> = {};
    for await (const part of request.parts(optionsOf(limits))) {
      const name = nameOf(part.fieldname, shape);
      if (name === undefined) throw new Problem('invalid-request', 'a part of the form has no name');
      const value = part.type === 'field' ? part.value : await bytesOf(part.file);
      const blank =
        part.type === 'field'
          ? typeof value === 'string' && value.trim() === ''
          : !part.filename && (value as Buffer).length === 0;
      if (blank && Object.hasOwn(shape, name)) continue;
      const read = typeof value === 'string' ? fromText(value, shape[name]) : value;
      if (isList(shape[name])) {
        body[name] = [(body[name] as unknown[] | undefined) ?? [], read].flat().slice(0, MAX_ITEMS);
        continue;
      }
      if (Object.hasOwn(body, name)) {
        // Clients send lists and objects as a[] and a[b]. Of unknown ones, the first is enough to name or to refuse.
        if (!Object.hasOwn(shape, name)) continue;
        throw fieldProblem('invalid-request', name, `${name} was sent twice; send it once`);
      }
      body[name] = read;
    }
    return body;
  }
});

/** Counts the bytes of the body, and rejects when there are too many. The parser does not report those outside of parts. */
function refused({ raw, upload }: FastifyRequest): Promise<never> {
  return new Promise((_, reject) => {
    raw.on('data', function count(chunk: Buffer) {
      try {
        upload.take(chunk.length);
      } catch (error) {
        raw.off('data', count);
        reject(error);
      }
    });
  });
}

async function bytesOf(file: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks = new Chunks();
  for await (const chunk of file) chunks.add(chunk);
  return chunks.concat();
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Reads a multipart body into `body`, with texts converted to the types of the schema's fields. Other bodies are left alone. */
    readForm(schema: z.ZodObject, limits?: FormLimits): Promise<void>;
  }
}

function formProblem(error: unknown, { files, fields }: FormLimits): Problem {
  if (error instanceof Problem) return error;
  const { code, statusCode } = error as { code?: string; statusCode?: number };
  if (code === 'FST_PROTO_VIOLATION')
    return new Problem(
      'invalid-request',
      'a field of the form has a reserved name, such as constructor or __proto__',
    );
  if (statusCode === 413) {
    const parts = files + fields;
    return new Problem(
      'upload-too-large',
      `a form has at most ${parts} parts: ${files} files, ${fields} fields`,
    );
  }
  return new Problem('invalid-request', 'the multipart body cannot be read: it is cut short or malformed');
}

const BOOLEANS = new Map([
  ['true', true],
  ['false', false],
]);
/** Items of a list that are read: more than any schema allows, so that validation refuses the field. */
const MAX_ITEMS = 64;
/** As JSON has them, and as languages print or read them: 1e-05, .5, 5., +7. */
const NUMBER = /^[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?$/i;

const isList = (field: z.ZodType | undefined) => field !== undefined && jsonType(field) === 'array';

/** Lists may be sent as `name[]`, once for each item. */
function nameOf(name: string | undefined, shape: z.ZodObject['shape']): string | undefined {
  const list = name?.endsWith('[]') ? name.slice(0, -2) : undefined;
  return list !== undefined && isList(shape[list] as z.ZodType | undefined) ? list : name;
}

/** Form fields are texts: converts those of numbers, of true and false, and splits those of lists at commas. */
function fromText(text: string, field: z.ZodType | undefined): unknown {
  const type = field && jsonType(field);
  if (type === 'boolean') return BOOLEANS.get(text.toLowerCase()) ?? text;
  if (type === 'array') return text.split(',', MAX_ITEMS).map((item) => toNumber(item.trim()));
  return type === 'integer' || type === 'number' ? toNumber(text) : text;
}

function toNumber(text: string): unknown {
  return NUMBER.test(text.trim()) ? Number(text) : text; // anything else is left for validation to refuse
}

/** The JSON Schema type of each field; made once, since it does not change. */
const jsonTypes = new WeakMap<z.ZodType, unknown>();

function jsonType(field: z.ZodType): unknown {
  if (!jsonTypes.has(field)) {
    jsonTypes.set(field, z.toJSONSchema(field, { io: 'input', unrepresentable: 'any' }).type);
  }
  return jsonTypes.get(field);
}
