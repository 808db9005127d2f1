import type { ModelRegistry } from '../../../registry/registry.ts';
import type { ServedModel } from '../../../registry/served-model.ts';
import type { Signature } from './message.ts';
import { FILL, networkSignature } from './signatures.ts';

/** Ends the name under which the bare network of a model is served. */
const NETWORK = '-network';

/** Names a model in a path: an id, or id@version, and perhaps a version after it. */
export interface ModelPath {
  model: string;
  version?: string;
}

export interface FoundModel {
  /** The name as the client wrote it. */
  name: string;
  model: ServedModel;
  /** How the registry calls it: id, or id@version. */
  reference: string;
  /** Whether the bare network is meant, and not the whole task. */
  isNetwork: boolean;
  signature: Signature;
}

/** The model of a path; where its id is served by several versions, the seed decides. Throws UnknownModelError. */
export function findModel(
  registry: ModelRegistry,
  { model: name, version }: ModelPath,
  seed?: number,
): FoundModel {
  const refer = (id: string) => (version === undefined ? id : `${id}@${version}`);
  const isNetwork = name.endsWith(NETWORK) && !isModel(registry, name);
  const reference = refer(isNetwork ? name.slice(0, -NETWORK.length) : name);
  const model = registry.get(reference, seed);
  return { name, model, reference, isNetwork, signature: isNetwork ? networkSignature(model) : FILL };
}

/** Whether a model itself has this name, as its id or as id@version. */
const isModel = (registry: ModelRegistry, name: string) =>
  registry.list().some(({ card, ref }) => card.id === name || ref === name);

/** The versions that the name in a path stands for, oldest first. */
export function versionsOf(registry: ModelRegistry, { reference, model: { card } }: FoundModel): string[] {
  if (reference.includes('@')) return [card.version];
  const same = registry.list().filter((other) => other.card.id === card.id);
  return same.map((other) => other.card.version).reverse();
}
