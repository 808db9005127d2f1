import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import sharp from 'sharp';

const SIDES = [64, 200, 512, 1600];
const SAMPLERS = ['ddim', 'ddpm', 'dpmpp_2m'];
const LONGEST_STAY_MS = 3000;

/** The number of requests by outcome: a status, 'disconnected', or the error of fetch. */
export type Tally = Map<string, number>;

/** An empty tally, and a function that adds one to an outcome. */
export function startTally(): { tally: Tally; count: (what: string) => void } {
  const tally: Tally = new Map();
  return { tally, count: (what) => void tally.set(what, (tally.get(what) ?? 0) + 1) };
}

const random = (below: number) => Math.floor(Math.random() * below);
const oneOf = <T>(list: readonly T[]): T => list[random(list.length)];

/** Runs clients that send every kind of request until the signal aborts; reports each outcome to `count`. */
export async function keepAsking(
  url: string,
  clients: number,
  count: (what: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const pictures = await Promise.all(SIDES.map(drawPictures));
  setMaxListeners(clients, signal);

  /** Resolves to the body of a 2xx response, else to undefined. After a 429, waits for the time in Retry-After. */
  async function send(path: string, init: RequestInit = {}): Promise<Buffer | undefined> {
    try {
      const response = await fetch(url + path, init);
      const body = Buffer.from(await response.arrayBuffer());
      const status = statusOf(response, body);
      count(status);
      if (status.startsWith('2')) return body;
      if (status === '429') {
        const seconds = Number(response.headers.get('retry-after') ?? 1);
        await sleep(seconds * 1000, undefined, { signal }).catch(() => {}); // the run is over
      }
    } catch (error) {
      count(init.signal?.aborted ? 'disconnected' : String(error));
    }
  }

  const inpaint = (accept: string, signal?: AbortSignal) =>
    send('/v1/inpaint', { method: 'POST', headers: { accept }, body: form(oneOf(pictures)), signal });
  const sample = (accept: string, signal?: AbortSignal) => {
    const body = JSON.stringify({ sampler: oneOf(SAMPLERS), steps: 2 + random(30), preview_every: 4 });
    const headers = { accept, 'content-type': 'application/json' };
    return send('/v1/sample', { method: 'POST', headers, body, signal });
  };
  const hangUp = () =>
    oneOf([inpaint, sample])('text/event-stream', AbortSignal.timeout(random(LONGEST_STAY_MS)));
  const job = async () => {
    const created = await send('/v1/jobs', { method: 'POST', body: form(oneOf(pictures)) });
    if (!created) return;
    const { id } = JSON.parse(created.toString());
    if (await follow(id)) await send(`/v1/jobs/${id}/images/0`);
  };
  /** Like an EventSource: a stream that ends before the job does is requested again, from the last event on. */
  const follow = async (id: string): Promise<boolean> => {
    for (let last = '0'; ; ) {
      const events = await send(`/v1/jobs/${id}/events`, { headers: { 'last-event-id': last } });
      if (!events) return false;
      const text = events.toString();
      if (/^event: (result|error|cancelled)$/m.test(text)) return true;
      last =
        text
          .match(/^id: \d+$/gm)
          ?.at(-1)
          ?.slice(4) ?? last;
    }
  };

  const kinds = [
    () => inpaint('image/*, application/json;q=0.5'),
    () => inpaint('application/json'),
    () => inpaint('text/event-stream'),
    () => sample('image/webp'),
    () => sample('text/event-stream'),
    hangUp,
    job,
  ];
  const ask = async (client: number) => {
    for (let turn = client; !signal.aborted; turn++) await kinds[turn % kinds.length]();
  };
  await Promise.all(Array.from({ length: clients }, (_, client) => ask(client)));
}

/** The status of a response. An event stream always starts with 200; an error is reported in its last event. */
function statusOf({ status, headers }: Response, body: Buffer): string {
  const events = headers.get('content-type')?.includes('event-stream');
  const problem = events && body.toString().match(/event: error\ndata: .*"status":(\d+)/);
  return problem ? problem[1] : String(status);
}

interface Pictures {
  image: Blob;
  mask: Blob;
}

async function drawPictures(side: number): Promise<Pictures> {
  const plain = (background: string, size = side) =>
    sharp({ create: { width: size, height: size, channels: 3, background } });
  const noise = { type: 'gaussian', mean: 128, sigma: 40 } as const;
  const image = sharp({ create: { width: side, height: side, channels: 3, background: 'grey', noise } });
  const hole = await plain('white', side >> 2)
    .png()
    .toBuffer();
  const mask = plain('black').composite([{ input: hole }]);
  return { image: blob(await image.jpeg().toBuffer()), mask: blob(await mask.png().toBuffer()) };
}

const blob = (file: Buffer) => new Blob([new Uint8Array(file)]);

function form({ image, mask }: Pictures): FormData {
  const body = new FormData();
  body.set('image', image, 'image.jpg');
  body.set('mask', mask, 'mask.png');
  body.set('sampler', oneOf(SAMPLERS));
  body.set('steps', String(2 + random(20)));
  body.set('num_images', oneOf(['1', '1', '1', '2']));
  body.set('preview_every', '4');
  return body;
}
