/** The worker thread behind threaded.ts: it holds trajectories, and answers each message with the next input or x_0. */
import { parentPort } from 'node:worker_threads';
import { createTrajectory, type DenoisingTrajectory, type TrajectorySpec } from './create.ts';

export type Message =
  | { type: 'create'; id: number; spec: TrajectorySpec }
  | { type: 'advance'; id: number; prediction: Float32Array }
  | { type: 'estimate'; id: number }
  | { type: 'close'; id: number };

/** Messages are answered in order, except `close`, which has no answer. */
export type Answer =
  | { total: number; step: number; input: { x: Float32Array; t: number } | undefined }
  | { x0: Float32Array }
  | { error: string };

const trajectories = new Map<number, DenoisingTrajectory>();

parentPort?.on('message', (message: Message) => {
  if (message.type === 'close') {
    trajectories.delete(message.id);
    return;
  }
  try {
    parentPort?.postMessage(answer(message));
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
  if (message.type === 'estimate') return { x0: trajectory.x0 };
  trajectory.advance(message.prediction);
  return state(trajectory);
}

function state(trajectory: DenoisingTrajectory): Answer {
  const { total, step } = trajectory;
  return { total, step, input: step < total ? trajectory.input() : undefined };
}
