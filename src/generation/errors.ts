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
