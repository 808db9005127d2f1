/** The worker thread behind threaded.ts: it holds trajectories, and answers each message with the next input or x_0. */
import { parentPort } from 'node:worker_threads';
import type { NetworkName } from '../../engine/engine.ts';
import type { NoiseLevel } from './conditioning.ts';
import { createTrajectory, type DenoisingTrajectory, type TrajectorySpec, type Views } from './create.ts';

export type Message =
  | { type: 'create'; id: number; spec: TrajectorySpec }
  | { type: 'advance'; id: number; prediction: Float32Array; row: number }
  | { type: 'view'; id: number; what: keyof Views }
  | { type: 'close'; id: number };

/** Messages are answered in order, except `close`, which has no answer. */
export type Answer = State | { step: number } | { view: Views[keyof Views] } | { error: string };

/** A trajectory at the start of a step, with the inputs of all its rows; none when it is finished. */
export interface State {
  total: number;
  step: number;
  noiseLevel: NoiseLevel;
  network: NetworkName;
  inputs: { x: Float32Array; t: number }[];
}

/** For each trajectory in the middle of a step, the rows that it still waits for. */
const left = new Map<number, number>();
const trajectories = new Map<number, DenoisingTrajectory>();

parentPort?.on('message', (message: Message) => {
  if (message.type === 'close') {
    trajectories.delete(message.id);
    left.delete(message.id);
    return;
  }
  try {
    const found = answer(message);
    parentPort?.postMessage(found, transferable(found));
  } catch (error) {
    parentPort?.postMessage({ error: (error as Error).message } satisfies Answer);
  }
});

function answer(message: Exclude<Message, { type: 'close' }>): Answer {
  if (message.type === 'create') {
    const trajectory = createTrajectory(message.spec);
    trajectories.set(message.id, trajectory);
    return state(trajectory);
  }
  const trajectory = trajectories.get(message.id);
  if (!trajectory) throw new Error(`there is no trajectory ${message.id}`);
  if (message.type === 'view') return { view: trajectory[message.what] };
  left.set(message.id, (left.get(message.id) ?? trajectory.rows) - 1);
  trajectory.advance(message.prediction, message.row);
  if (left.get(message.id)) return { step: trajectory.step };
  left.delete(message.id);
  return state(trajectory);
}

/** The memory of an answer that this thread does not use any more: it is not copied, which the main thread would do. */
function transferable(found: Answer): ArrayBuffer[] {
  if ('inputs' in found) return found.inputs.map(({ x }) => x.buffer as ArrayBuffer);
  if ('view' in found && Array.isArray(found.view))
    return found.view.map(({ x0 }) => x0.buffer as ArrayBuffer);
  return [];
}

function state(trajectory: DenoisingTrajectory): Answer {
  const { total, step, noiseLevel, network } = trajectory;
  const rows = step < total ? trajectory.rows : 0;
  const inputs = Array.from({ length: rows }, (_, row) => copied(trajectory.input(row)));
  return { total, step, noiseLevel, network, inputs };
}

/** The input in memory of its own, which can be transferred: the trajectory may go on using the original. */
function copied({ x, t }: { x: Float32Array; t: number }) {
  return { x: x.slice(), t };
}
