import os from 'node:os';
import path from 'node:path';
import type { Ask } from './load.ts';
import { FOLDER, python } from './python.ts';

/** A server to compare. All of them serve the same weights, in fp32 unless its name says otherwise. */
export interface Peer {
  name: string;
  command: (port: string) => readonly string[];
  env: Record<string, string>;
  readyPath: string;
  fillPath: string;
  /** form: pictures as files of a form; json: in base64. */
  request: 'form' | 'json';
  /** Fields of every request, beside the pictures, the steps and the format. */
  fields?: Record<string, string | number>;
  /** It answers with the picture in base64, in a JSON list of one. */
  wrapped?: boolean;
  /** It needs the virtual environment. */
  inPython?: boolean;
}

export const CORES = os.availableParallelism();
const cores = String(CORES);
/** Python servers run in processes of one thread or in one of all cores; either way they use every core. */
const SPREAD = { THREADS: '1', WORKERS: cores };
const TOGETHER = { THREADS: cores, WORKERS: '1' };
/** Rows of a batch. Larger ones are not faster on a CPU, and everyone in a batch waits for all of it. */
const MAX_BATCH = '8';

const pythonScript = (file: string) => () => [python(), path.join(FOLDER, 'python', file)];
const fromSource = (file: string) => () => [
  process.execPath,
  '--disable-warning=ExperimentalWarning',
  '--import',
  'tsx',
  path.join(FOLDER, file),
];

function fastApi(precision: string, threads: typeof SPREAD, name: string): Peer {
  return {
    name: `FastAPI, PyTorch ${name}`,
    command: (port) => [
      ...[python(), '-m', 'uvicorn', 'fastapi_server:app', '--app-dir', path.join(FOLDER, 'python')],
      ...['--port', port, '--workers', threads.WORKERS, '--log-level', 'warning', '--no-access-log'],
    ],
    env: { PRECISION: precision, ...threads },
    readyPath: '/ready',
    fillPath: '/fill',
    request: 'form',
    inPython: true,
  };
}

const SERVICE: Peer = {
  name: 'this service',
  command: () => [process.execPath, 'dist/main.js'],
  env: { HOST: '127.0.0.1', LOG_LEVEL: 'warn', DEVICE: 'cpu', PRECISION: 'fp32' },
  readyPath: '/health/ready',
  fillPath: '/v1/inpaint',
  request: 'form',
  fields: { sampler: 'dpmpp_2m', strategy: 'crop' },
};

/** By the name that --peers takes. */
export const PEERS: Record<string, Peer> = {
  service: SERVICE,
  'service-int8': { ...SERVICE, name: 'this service, int8', env: { ...SERVICE.env, PRECISION: 'int8' } },
  'fastapi-fp32': fastApi('fp32', TOGETHER, `fp32, ${cores} threads and a lock`),
  'fastapi-bf16': fastApi('bf16', TOGETHER, `bf16, ${cores} threads and a lock`),
  'fastapi-compiled': fastApi('compiled', TOGETHER, `compiled, ${cores} threads and a lock`),
  'fastapi-spread': fastApi('fp32', SPREAD, `fp32, ${cores} processes of one thread`),
  'fastapi-spread-bf16': fastApi('bf16', SPREAD, `bf16, ${cores} processes of one thread`),
  litserve: {
    name: `LitServe, batches, ${cores} processes of one thread`,
    command: pythonScript('litserve_server.py'),
    env: { ...SPREAD, MAX_BATCH },
    readyPath: '/health',
    fillPath: '/fill',
    request: 'json',
    inPython: true,
  },
  bentoml: {
    name: `BentoML, adaptive batches, ${cores} processes of one thread`,
    command: (port) => [
      ...[
        python(),
        '-m',
        'bentoml',
        'serve',
        'bentoml_server:Inpainting',
        '--host',
        '127.0.0.1',
        '--port',
        port,
      ],
      ...['--working-dir', path.join(FOLDER, 'python')],
    ],
    env: { ...SPREAD, MAX_BATCH, BENTOML_DO_NOT_TRACK: 'True' },
    readyPath: '/readyz',
    fillPath: '/fill',
    request: 'json',
    wrapped: true,
    inPython: true,
  },
  fastify: {
    name: `Fastify, onnxruntime, ${cores} threads`,
    command: fromSource('fastify-server.ts'),
    env: {},
    readyPath: '/ready',
    fillPath: '/fill',
    request: 'form',
  },
};

/** A process of the bare network. */
export const bare = fromSource('bare.ts');

export interface Pictures {
  image: Buffer;
  mask: Buffer;
}

const PNG = Buffer.from('\x89PNG', 'latin1');
const JPEG = Buffer.from([0xff, 0xd8, 0xff]);

/** A request for a fill of the pictures. */
export function askFor(
  peer: Peer,
  origin: string,
  { image, mask }: Pictures,
  fields: { steps: number; format: 'png' | 'jpeg' },
): Ask {
  const signature = fields.format === 'png' ? PNG : JPEG;
  const check = (answer: Buffer) => {
    const file = peer.wrapped ? Buffer.from(JSON.parse(answer.toString())[0], 'base64') : answer;
    if (!file.subarray(0, signature.length).equals(signature)) throw new Error(`no ${fields.format}`);
  };
  const url = origin + peer.fillPath;
  const all = { ...fields, ...peer.fields };
  if (peer.request === 'json') {
    const fill = { image: image.toString('base64'), mask: mask.toString('base64'), ...all };
    const body = Buffer.from(JSON.stringify(peer.wrapped ? { fills: [fill] } : fill));
    return { url, headers: { 'content-type': 'application/json' }, body, check };
  }
  const boundary = 'bench-peers-boundary';
  const part = (name: string, value: string | Buffer, more = '') => [
    Buffer.from(
      `--${boundary}\r\ncontent-disposition: form-data; name="${name}"${more && `; filename="${name}"`}\r\n${more}\r\n`,
    ),
    Buffer.from(value),
    Buffer.from('\r\n'),
  ];
  const type = (file: Buffer) =>
    `content-type: image/${file.subarray(0, 4).equals(PNG) ? 'png' : 'jpeg'}\r\n`;
  const body = Buffer.concat([
    ...part('image', image, type(image)),
    ...part('mask', mask, type(mask)),
    ...Object.entries(all).flatMap(([name, value]) => part(name, String(value))),
    Buffer.from(`--${boundary}--\r\n`),
  ]);
  const headers = { 'content-type': `multipart/form-data; boundary=${boundary}`, accept: 'image/*' };
  return { url, headers, body, check };
}
