/** A parameter has a value that the chosen model cannot take. */
export class InvalidParameterError extends Error {
  override name = 'InvalidParameterError';
  /** The parameter's name in requests. */
  readonly field: string;
  constructor(field: string, message: string) {
    super(message);
    this.field = field;
  }
}

/** The default model is loading, or has no live worker. */
export class ModelNotReadyError extends Error {
  override name = 'ModelNotReadyError';
}

/** A client would have to wait too long for the answer. */
export class TakesTooLongError extends Error {
  override name = 'TakesTooLongError';

  constructor(model: string, evaluations: number, seconds: number) {
    super(
      `it takes ${evaluations} evaluations of ${model}, about ${inWords(seconds)} on the server, and this service does not ` +
        'let a request wait so long: send it to /v1/jobs, or use fewer steps or images',
    );
  }
}

function inWords(seconds: number): string {
  return seconds < 90 ? `${Math.max(1, Math.round(seconds))} seconds` : `${Math.round(seconds / 60)} minutes`;
}
