import { afterAll, beforeAll, expect, test } from 'vitest';
import { findModel, versionsOf } from '../../../src/http/compat/oip/models.ts';
import { FolderRegistry } from '../../../src/registry/registry.ts';
import { ModelDir } from '../../helpers/model-dir.ts';

let models: ModelDir;
let registry: FolderRegistry;
beforeAll(async () => {
  models = await ModelDir.create();
  for (const version of ['1', '2']) await models.add(version);
  const engine = { engine: 'onnx', device: 'cpu' } as const;
  const aliases = { theirs: models.id, pinned: `${models.id}@1` };
  registry = await FolderRegistry.open({ modelDir: models.root, engine, queue: { limit: 4 }, aliases });
});
afterAll(() => models.remove());

const found = (model: string, version?: string) => findModel(registry, { model, version });

test('the versions that a name lists are those that it has', () => {
  const names = [models.id, 'theirs', 'pinned', `${models.id}@2`];
  for (const name of names.flatMap((each) => [each, `${each}-network`])) {
    const listed = versionsOf(registry, found(name));
    expect(listed).toEqual(name.includes('@2') ? ['2'] : ['1', '2']);
    for (const version of listed) {
      const one = found(name, version);
      expect(one).toMatchObject({ name, isNetwork: name.endsWith('-network') });
      expect([one.model.card.version, registry.get(one.reference).ref]).toEqual([version, one.model.ref]);
      expect(versionsOf(registry, one)).toEqual([version]);
    }
    expect(() => found(name, '3')).toThrow('there is no model');
  }
  expect(() => found(`${models.id}@2`, '1')).toThrow('there is no model');
});
