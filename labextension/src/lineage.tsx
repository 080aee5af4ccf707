/**
 * The graph of a version: what it comes from on its left, what came of it on its right.
 *
 * The server says where everything stands; choosing a thing shows what is known of it and what it is connected with.
 */

import React from 'react';

import type { Lineage, LineageNode, LineagePicture } from './api';
import * as format from './format';

type Open = (model: string, version: string) => void;

export function LineageGraph({ lineage, open }: { lineage: Lineage; open: Open }): JSX.Element {
  const self = lineage.nodes.find(node => node.kind === 'version' && node.label === lineage.version);
  const [chosen, setChosen] = React.useState<string | null>(null);
  const shown = lineage.nodes.find(node => node.id === chosen) ?? self;
  return (
    <>
      {lineage.picture === null ? (
        <p>{format.plural(lineage.nodes.length, 'thing')} are too many to draw; %lineage lists them.</p>
      ) : (
        <Picture lineage={lineage} picture={lineage.picture} chosen={shown?.id ?? null} choose={setChosen} />
      )}
      {lineage.is_cut ? <p className="dwcp-Version-note">Ten versions before and after are shown; there are more.</p> : null}
      {shown === undefined ? null : <Facts node={shown} open={shown.label === lineage.version ? null : open} />}
    </>
  );
}

function Picture(props: {
  lineage: Lineage;
  picture: LineagePicture;
  chosen: string | null;
  choose: (id: string) => void;
}): JSX.Element {
  const { lineage, picture, chosen, choose } = props;
  const nodes = new Map(lineage.nodes.map(node => [node.id, node]));
  const near = chosen === null ? null : connected(lineage, chosen);
  return (
    <div className="dwcp-Lineage">
      <svg
        width={picture.width}
        height={picture.height}
        viewBox={`0 0 ${picture.width} ${picture.height}`}
        role="group"
        aria-label={`${format.plural(picture.boxes.length, 'thing')}, ${format.plural(picture.arrows.length, 'arrow')}`}
      >
        {picture.arrows.map((arrow, index) => (
          <g
            key={index}
            className={near === null || (near.has(arrow.source) && near.has(arrow.target)) ? 'dwcp-Arrow' : 'dwcp-Arrow dwcp-mod-far'}
          >
            <path d={arrow.d} />
            <polygon points={`${arrow.x},${arrow.y} ${arrow.x - 7},${arrow.y - 4} ${arrow.x - 7},${arrow.y + 4}`} />
          </g>
        ))}
        {picture.boxes.map(box => {
          const node = nodes.get(box.id);
          const isChosen = box.id === chosen;
          const far = near === null || near.has(box.id) ? '' : ' dwcp-mod-far';
          return (
            <g
              key={box.id}
              className={`dwcp-Box dwcp-mod-${node?.kind}${far}${isChosen ? ' dwcp-mod-chosen' : ''}`}
              role="button"
              tabIndex={0}
              aria-pressed={isChosen}
              aria-label={`${node?.kind} ${node?.label}`}
              transform={`translate(${box.x}, ${box.y})`}
              onClick={() => choose(box.id)}
              onKeyDown={event => {
                if (event.key === 'Enter' || event.key === ' ') {
                  event.preventDefault();
                  choose(box.id);
                }
              }}
            >
              <title>{node?.label}</title>
              <rect width={box.width} height={box.height} rx={4} />
              <text className="dwcp-Box-kind" x={10} y={15}>
                {node?.kind}
              </text>
              <text x={10} y={31}>
                {box.text}
              </text>
            </g>
          );
        })}
      </svg>
    </div>
  );
}

function Facts({ node, open }: { node: LineageNode; open: Open | null }): JSX.Element {
  const facts = Object.entries(node.facts).filter(([, value]) => value !== null && value !== '');
  const [model, version] = node.label.split('@', 2);
  return (
    <dl className="dwcp-Facts" aria-label={`Facts of ${node.label}`}>
      <div>
        <dt>{node.kind}</dt>
        <dd>
          {node.kind === 'version' && open !== null && model !== undefined && version !== undefined ? (
            <button type="button" className="dwcp-Link" onClick={() => open(model, version)}>
              {node.label}
            </button>
          ) : (
            node.label
          )}
        </dd>
      </div>
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name.replaceAll('_', ' ')}</dt>
          <dd>{isTime(name) ? format.exactTime(String(value)) : String(value)}</dd>
        </div>
      ))}
    </dl>
  );
}

function isTime(name: string): boolean {
  return name === 'since' || name.endsWith('_at');
}

/** All that a node comes from and that came of it, and itself. */
function connected(lineage: Lineage, start: string): ReadonlySet<string> {
  const reach = (from: 'source' | 'target', to: 'source' | 'target') => {
    const found = new Set([start]);
    for (const id of found) {
      lineage.edges.filter(edge => edge[from] === id).forEach(edge => found.add(edge[to]));
    }
    return found;
  };
  return new Set([...reach('target', 'source'), ...reach('source', 'target')]);
}
