import type { FastifyReply } from 'fastify';
import { assertSoon, workOf } from '../generation/estimate.ts';
import { type Generated, generate } from '../generation/generate.ts';
import type { GenerationOptions } from '../generation/options.ts';
import {
  type GenerationLimits,
  generationLimits,
  type PreparedRequest,
  prepare,
} from '../generation/prepare.ts';
import type { GenerationRequest } from '../generation/request.ts';
import { assertReady, reproducibilityFields, resolve } from '../generation/resolve.ts';
import type { Room } from '../image/budget.ts';
import type { Dependencies } from './dependencies.ts';
import { disconnectSignal, whenSent } from './disconnect.ts';

/** Called when the pictures have been found good. Returns what is told the progress. */
export type OnPrepared = (prepared: PreparedRequest) => GenerationOptions['onProgress'];

export interface PerformOptions {
  onPrepared?: OnPrepared;
  /** Limits on its pictures; those of the settings when absent. */
  limits?: GenerationLimits;
  /** Ends it; when absent, it ends when the client disconnects. */
  signal?: AbortSignal;
  /** Milliseconds that it may take; MAX_SYNC_MS when absent. */
  maxMs?: number;
}

/**
 * One generation request over HTTP, up to its encoded pictures: resolve, reserve, prepare, generate. It stops when the client
 * disconnects. Room in the queue and memory are reserved before anything is decoded; the memory of the encoded pictures is
 * released when the answer has been sent.
 *
 * Only the encoded pictures are left when it resolves: nothing else may hold the decoded ones, because a client may take
 * long to read its answer.
 */
export async function perform(
  { config, registry, metrics }: Dependencies,
  reply: FastifyReply,
  request: GenerationRequest,
  {
    onPrepared,
    limits = generationLimits(config),
    signal = disconnectSignal(reply),
    maxMs = config.MAX_SYNC_MS,
  }: PerformOptions = {},
): Promise<Generated> {
  const resolved = resolve(registry, request);
  const { model, parameters } = resolved;
  assertReady(registry, model, parameters.seed);
  const { logFields, apiKey } = reply.request;
  Object.assign(logFields, reproducibilityFields(resolved));
  const reservation = model.admission.reserve(parameters.numImages, apiKey?.name, signal);
  let room: Room | undefined;
  try {
    const prepared = await prepare(resolved, limits);
    room = prepared.room;
    await assertSoon(model, workOf(prepared), maxMs);
    reply.header('x-seed', parameters.seed).header('x-model', model.ref).header('x-steps', parameters.steps);
    const onProgress = onPrepared?.(prepared);
    const generated = await generate(metrics, prepared, { signal, reservation, onProgress });
    reply.header('x-precision', generated.fields.precision);
    room.resize(bytesOf(generated));
    logFields.precision = generated.fields.precision;
    logFields.timings_ms = generated.fields.timings_ms;
    return generated;
  } finally {
    reservation.release();
    whenSent(reply, () => room?.release());
  }
}

/** The memory of an answer: its pictures as files, and the map of uncertainty as base64. */
const bytesOf = ({ files, fields }: Generated) =>
  files.reduce((sum, { length }) => sum + length, String(fields.uncertainty ?? '').length);
