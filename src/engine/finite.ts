import { DeviceError, EngineError } from './engine.ts';

/** The prediction for a row has values that are not finite: its input, the network or the device is at fault. */
export class NotFiniteError extends EngineError {
  override name = 'NotFiniteError';
}

/** Throws NotFiniteError if a value is infinite or no number: then so is the sum of all. */
export function assertFinite(prediction: Float32Array): void {
  let sum = 0;
  for (let i = 0; i < prediction.length; i++) sum += prediction[i];
  if (!Number.isFinite(sum)) throw new NotFiniteError('the prediction has values that are not finite');
}

/** Throws DeviceError if every value is 0 or NaN: a GPU that has failed returns such predictions. */
export function assertComputed(prediction: Float32Array): void {
  if (prediction.every((value) => value === 0 || Number.isNaN(value)))
    throw new DeviceError('the prediction is zero or NaN everywhere');
}
