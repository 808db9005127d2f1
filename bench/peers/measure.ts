import { createServer } from 'node:net';
import path from 'node:path';
import sharp from 'sharp';
import { closedLoop, openLoop, type Result, shortAmongLong } from './load.ts';
import { askFor, type Peer, type Pictures } from './peers.ts';
import { ServerProcess } from './process.ts';
import { seeded } from './random.ts';

/** Steps of a fill; the model's default. */
export const STEPS = 12;
/** Clients whose throughput counts as a server's capacity in an open loop. */
const CAPACITY_CLIENTS = 8;
const [SHORT_STEPS, LONG_STEPS, LONG_CLIENTS] = [5, 200, 8];

export type LoadName = `closed-${number}` | 'open' | 'mixed' | 'large';

export interface MeasuredLoad extends Result {
  load: string;
  /** Processor time of the server for each answer, in milliseconds. */
  cpuMs: number;
  /** Share of one core that the load generator itself took. */
  generator: number;
}

export interface Measured {
  readyMs: number;
  peakMb: number;
  loads: MeasuredLoad[];
}

/** Starts a peer with the model of a folder ID/VERSION, applies the loads one after the other, and stops it. */
export async function measure(
  peer: Peer,
  { model, seconds, loads }: { model: string; seconds: number; loads: readonly LoadName[] },
): Promise<Measured> {
  const port = String(await freePort());
  const origin = `http://127.0.0.1:${port}`;
  const version = path.basename(model);
  const versions = path.dirname(model);
  const ours = { MODEL_DIR: path.dirname(versions), DEFAULT_MODEL: `${path.basename(versions)}@${version}` };
  const env = { ...peer.env, ...ours, PORT: port, MODEL_FOLDER: model };
  const isReady = async () => (await fetch(origin + peer.readyPath)).ok;
  const server = await ServerProcess.start(peer.command(port), env, isReady);
  try {
    const small = askFor(peer, origin, await pictures(64, 64), { steps: STEPS, format: 'png' });
    const first = await closedLoop(small, 2, 1); // what is only done once is not measured
    if (first.latenciesMs.length === 0) throw new Error(`does not fill: ${JSON.stringify(first.failures)}`);
    const measured: MeasuredLoad[] = [];
    const apply = async (load: string, work: () => Promise<Result>) => {
      const before = { cpu: server.cpuMs(), own: process.cpuUsage(), at: performance.now() };
      const result = await work();
      const own = process.cpuUsage(before.own);
      measured.push({
        ...result,
        load,
        cpuMs: (server.cpuMs() - before.cpu) / result.latenciesMs.length,
        generator: (own.user + own.system) / 1000 / (performance.now() - before.at),
      });
      return result;
    };
    for (const load of loads) {
      if (load === 'open') {
        const { latenciesMs, seconds: took } = await closedLoop(small, CAPACITY_CLIENTS, seconds);
        const capacity = latenciesMs.length / took;
        for (const share of [0.7, 1.2])
          await apply(`Poisson, ${100 * share} % of its capacity`, () =>
            openLoop(small, share * capacity, 2 * seconds, seeded(1)),
          );
      } else if (load === 'mixed') {
        const of = (steps: number) => ({ ...small, ...askFor(peer, origin, tiny, { steps, format: 'png' }) });
        const tiny = await pictures(64, 64);
        await apply(`${SHORT_STEPS} steps among ${LONG_CLIENTS} clients of ${LONG_STEPS}`, () =>
          shortAmongLong(of(SHORT_STEPS), of(LONG_STEPS), LONG_CLIENTS, 2 * seconds),
        );
      } else if (load === 'large') {
        const large = askFor(peer, origin, await pictures(4000, 3000), { steps: STEPS, format: 'jpeg' });
        await apply('12 megapixels, 1 client', () => closedLoop(large, 1, seconds));
      } else {
        const clients = Number(load.slice('closed-'.length));
        await apply(`${clients} client${clients > 1 ? 's' : ''}`, () => closedLoop(small, clients, seconds));
      }
    }
    return { readyMs: server.readyMs, peakMb: server.peakMb, loads: measured };
  } finally {
    await server.stop();
  }
}

/** A noisy picture with a hole in its middle, a third as large. Large pictures are JPEG, as those of cameras are. */
async function pictures(width: number, height: number): Promise<Pictures> {
  const noise = { type: 'gaussian', mean: 128, sigma: 40 } as const;
  const picture = sharp({ create: { width, height, channels: 3, background: 'grey', noise } });
  const side = Math.round(Math.min(width, height) / 3);
  const input = await sharp({ create: { width: side, height: side, channels: 3, background: 'white' } })
    .png()
    .toBuffer();
  const mask = sharp({ create: { width, height, channels: 3, background: 'black' } }).composite([{ input }]);
  const image = width > 1000 ? picture.jpeg() : picture.png();
  return { image: await image.toBuffer(), mask: await mask.greyscale().png().toBuffer() };
}

/** A port that nobody listens on. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}
