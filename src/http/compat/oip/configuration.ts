import type { FoundModel } from './models.ts';
import type { TensorSpec } from './tensors.ts';

/** Triton's names of the datatypes in a model's configuration. */
const TYPES = { FP32: 'TYPE_FP32', UINT8: 'TYPE_UINT8', INT64: 'TYPE_INT64', BYTES: 'TYPE_STRING' } as const;

/**
 * The configuration of a model, as Triton's model configuration extension returns it. perf_analyzer asks for it.
 *
 * `max_batch_size` is 0: in Triton's terms, N is then one of the `dims`. perf_analyzer cannot send the input `t`, whose only
 * dimension is N, to a model whose dims leave N out.
 */
export function configurationOf({ name, signature }: FoundModel, platform: string) {
  return {
    name,
    platform,
    max_batch_size: 0 as const,
    input: signature.inputs.map(describe),
    output: signature.outputs.map(describe),
  };
}

function describe({ name, shapes }: TensorSpec) {
  const [[datatype, dims]] = Object.entries(shapes) as [keyof typeof TYPES, number[]][];
  return { name, data_type: TYPES[datatype], dims };
}
