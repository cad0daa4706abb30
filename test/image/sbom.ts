import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A part of the program, as CycloneDX has it, with the name that npm knows it by. */
export interface Part {
  readonly name: string;
  readonly version: string;
  readonly purl: string;
}

/** The list of parts that a bundle comes with. */
export interface Sbom {
  readonly bomFormat: string;
  readonly subject: { readonly name: string; readonly version: string };
  readonly parts: readonly Part[];
}

/** Reads the list of parts of a bundle's folder. */
export function readSbom(folder: string): Sbom {
  const { bomFormat, metadata, components } = JSON.parse(
    readFileSync(join(folder, 'sbom.cdx.json'), 'utf8'),
  ) as {
    bomFormat: string;
    metadata: { component: Sbom['subject'] };
    components: (Part & { group?: string })[];
  };
  const parts = components.map(({ group, name, ...part }) => ({
    ...part,
    name: group === undefined ? name : `${group}/${name}`,
  }));
  return { bomFormat, subject: metadata.component, parts };
}
