import { asBuffer } from '../../../image/buffer.ts';
import { Problem } from '../../problem.ts';
import { validated } from '../../validation.ts';
import { type InferRequestBody, inferRequest } from './schemas.ts';
import {
  checkShape,
  fromBytes,
  fromJson,
  invalid,
  type Tensor,
  type TensorSpec,
  toBytes,
  toJson,
  valuesIn,
} from './tensors.ts';

/** The body of an inference request: JSON, and then, if there are any, the bytes of tensors in the order of the JSON. */
export interface Message {
  bytes: Uint8Array;
  /** Length of the JSON, from the header Inference-Header-Content-Length; all of it is JSON when absent. */
  jsonBytes?: number;
}

/** What a model takes and gives. */
export interface Signature {
  inputs: TensorSpec[];
  outputs: TensorSpec[];
}

/** An output that the client wants, as bytes after the JSON or in it. */
export interface Wanted {
  name: string;
  binary: boolean;
}

export interface InferRequest {
  id?: string;
  parameters: Record<string, unknown>;
  tensors: Tensor[];
  wanted: Wanted[];
}

/** Values, objects and arrays in the JSON of a request, and values in that of an answer. */
const MAX_JSON_VALUES = 1_000_000;
const MAX_JSON_DEPTH = 16;

const [QUOTE, BACKSLASH, COMMA, BRACE, CLOSING_BRACE, BRACKET, CLOSING_BRACKET] = Buffer.from('"\\,{}[]');

/** Reads and checks a request of at most `most` images, without the rules of a model beyond its signature. Throws Problem. */
export function readRequest(
  { bytes, jsonBytes = bytes.length }: Message,
  signature: Signature,
  most: number,
): InferRequest {
  if (jsonBytes > bytes.length) {
    const why = `Inference-Header-Content-Length is ${jsonBytes}; the body has ${bytes.length} bytes`;
    throw new Problem('invalid-request', why);
  }
  const body = parse(asBuffer(bytes.subarray(0, jsonBytes)));
  let rest = bytes.subarray(jsonBytes);
  const tensors = body.inputs.map((sent, i): Tensor => {
    const spec = signature.inputs.find(({ name }) => name === sent.name);
    if (!spec) throw invalid(sent.name, `there is no such input; send ${namesOf(signature.inputs)}`);
    if (body.inputs.findIndex(({ name }) => name === sent.name) < i)
      throw invalid(sent.name, 'it was sent twice');
    const datatype = checkShape(sent, spec, most);
    const size = sent.parameters?.binary_data_size;
    if (size === undefined)
      return { name: sent.name, datatype, shape: sent.shape, values: fromJson(sent, datatype) };
    if (sent.data !== undefined) throw invalid(sent.name, 'send `data` or `binary_data_size`, not both');
    const own = rest.subarray(0, size);
    rest = rest.subarray(size);
    if (own.length < size)
      throw invalid(sent.name, `binary_data_size is ${size}; ${own.length} bytes are left`);
    return { name: sent.name, datatype, shape: sent.shape, values: fromBytes(sent, datatype, own) };
  });
  if (rest.length > 0) {
    throw new Problem('invalid-request', `${rest.length} bytes after the JSON belong to no input`);
  }
  const { id, parameters = {} } = body;
  return { id, parameters, tensors, wanted: wantedOutputs(body, signature) };
}

const namesOf = (specs: TensorSpec[]) => specs.map(({ name }) => name).join(', ');

function parse(json: Buffer): InferRequestBody {
  if (json.length === 0) throw new Problem('invalid-request', 'the body is empty; it must be JSON');
  assertSmall(json);
  let body: unknown;
  try {
    body = JSON.parse(json.toString());
  } catch {
    throw new Problem('invalid-request', 'the body is not valid JSON');
  }
  return validated(inferRequest, body);
}

/** Bounds what JSON.parse has to allocate, apart from strings. */
function assertSmall(json: Buffer): void {
  let values = 0;
  let depth = 0;
  for (let at = 0; at < json.length; at++) {
    const byte = json[at];
    if (byte === QUOTE) at = endOfString(json, at);
    else if (byte === COMMA) values++;
    else if (byte === BRACE || byte === BRACKET) {
      values++;
      if (++depth > MAX_JSON_DEPTH)
        throw new Problem('invalid-request', `the JSON is nested more than ${MAX_JSON_DEPTH} levels deep`);
    } else if (byte === CLOSING_BRACE || byte === CLOSING_BRACKET) depth--;
    if (values > MAX_JSON_VALUES) {
      const why = `the JSON of a request has at most ${MAX_JSON_VALUES} values; send tensors as binary data`;
      throw new Problem('upload-too-large', why);
    }
  }
}

/** The index of the quote that ends the string which starts at `start`, or of the end of the JSON. */
function endOfString(json: Buffer, start: number): number {
  for (let at = start + 1; at < json.length; at++) {
    if (json[at] === BACKSLASH) at++;
    else if (json[at] === QUOTE) return at;
  }
  return json.length;
}

function wantedOutputs({ outputs, parameters }: InferRequestBody, signature: Signature): Wanted[] {
  const all = parameters?.binary_data_output === true;
  if (!outputs?.length) return signature.outputs.map(({ name }) => ({ name, binary: all }));
  return outputs.map(({ name, parameters: own }, i) => {
    if (!signature.outputs.some((spec) => spec.name === name)) {
      throw new Problem(
        'invalid-request',
        `there is no output ${name}; ask for ${namesOf(signature.outputs)}`,
      );
    }
    if (outputs.findIndex((other) => other.name === name) < i)
      throw new Problem('invalid-request', `the output ${name} was asked for twice`);
    return { name, binary: own?.binary_data ?? all };
  });
}

/** Throws Problem if the values of these tensors are too many for JSON. */
export function assertWritable(wanted: readonly Wanted[], shapes: Record<string, number[]>): void {
  const inJson = wanted.filter(({ binary }) => !binary);
  if (inJson.reduce((sum, { name }) => sum + valuesIn(shapes[name]), 0) <= MAX_JSON_VALUES) return;
  const why = `an answer in JSON has at most ${MAX_JSON_VALUES} values; ask for binary data (binary_data_output)`;
  throw new Problem('invalid-request', why);
}

export interface AnswerHead {
  model_name: string;
  model_version: string;
  id?: string;
}

/** The body of an answer, with the wanted ones of these tensors. `jsonBytes` is absent if all of it is JSON. */
export function writeAnswer(
  head: AnswerHead,
  wanted: readonly Wanted[],
  tensors: readonly Tensor[],
): Message {
  const binary: Buffer[] = [];
  const outputs = wanted.map(({ name, binary: asBytes }) => {
    const tensor = tensors.find((each) => each.name === name) as Tensor;
    const { datatype, shape } = tensor;
    if (!asBytes) return { name, datatype, shape, data: toJson(tensor) };
    const bytes = toBytes(tensor);
    binary.push(...bytes);
    const size = bytes.reduce((sum, { length }) => sum + length, 0);
    return { name, datatype, shape, parameters: { binary_data_size: size } };
  });
  const json = Buffer.from(JSON.stringify({ ...head, outputs }));
  if (!wanted.some(({ binary }) => binary)) return { bytes: json };
  return { bytes: Buffer.concat([json, ...binary]), jsonBytes: json.length };
}
