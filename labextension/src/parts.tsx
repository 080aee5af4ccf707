/** Small pieces that several sections draw. */

import React from 'react';

import * as format from './format';

/** A rounded label, such as a stage with the version in it. */
export function Badge(props: { kind: string; label: string; value?: string }): JSX.Element {
  return (
    <span className={`dwcp-Badge dwcp-mod-${props.kind}`}>
      {props.label}
      {props.value === undefined ? null : <span className="dwcp-Badge-value"> {props.value}</span>}
    </span>
  );
}

/** The first metrics by name; the title holds all. */
export function Metrics(props: { metrics: Readonly<Record<string, number>>; most: number }): JSX.Element | null {
  const entries = Object.entries(props.metrics);
  if (entries.length === 0) {
    return null;
  }
  return (
    <dl className="dwcp-Metrics" title={entries.map(([name, value]) => `${name} ${value}`).join('\n')}>
      {entries.slice(0, props.most).map(([name, value]) => (
        <div key={name} className="dwcp-Metric">
          <dt>{name}</dt>
          <dd>{format.metric(value)}</dd>
        </div>
      ))}
      {entries.length > props.most ? <div className="dwcp-Metric">+{entries.length - props.most}</div> : null}
    </dl>
  );
}

/** What a section says when it has nothing to list. */
export function Empty(props: React.PropsWithChildren<{ title: string }>): JSX.Element {
  return (
    <div className="dwcp-Empty">
      <p className="dwcp-Empty-title">{props.title}</p>
      <p>{props.children}</p>
    </div>
  );
}

/** Lists more of what a list shows the beginning of. */
export function More(props: { what: string; onClick: () => void }): JSX.Element {
  return (
    <button type="button" className="dwcp-Link" onClick={props.onClick}>
      Show more {props.what}
    </button>
  );
}

/** The answer to a question that is asked again when something in `dependencies` changed; the former one until then. */
export function useAnswer<T>(
  question: () => Promise<T>,
  dependencies: React.DependencyList
): { found: T | null; problem: string | null } {
  const [state, setState] = React.useState<{ found: T | null; problem: string | null }>({ found: null, problem: null });
  React.useEffect(() => {
    let isCurrent = true;
    question().then(
      found => isCurrent && setState({ found, problem: null }),
      (error: unknown) =>
        isCurrent && setState({ found: null, problem: error instanceof Error ? error.message : String(error) })
    );
    return () => {
      isCurrent = false;
    };
  }, dependencies);
  return state;
}
