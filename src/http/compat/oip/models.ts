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
  const isNetwork = name.endsWith(NETWORK) && !isModel(registry, name);
  const reference = refer(registry, isNetwork ? name.slice(0, -NETWORK.length) : name, version);
  const model = registry.get(reference, seed);
  return { name, model, reference, isNetwork, signature: isNetwork ? networkSignature(model) : FILL };
}

/** How the registry calls a version of a model, whose name may be an alias. One that names a version has no other one. */
function refer(registry: ModelRegistry, name: string, version?: string): string {
  if (version === undefined) return name;
  const { card } = registry.get(name);
  if (!name.includes('@')) return `${card.id}@${version}`;
  return card.version === version ? name : `${name}@${version}`;
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
