/** The section that lists endpoints: what they serve, whether they do, and how fast. */

import React from 'react';

import type { Endpoint } from './api';
import * as format from './format';
import { Empty } from './parts';

const MEANING: Readonly<Record<Endpoint['status'], string>> = {
  ready: 'It answers requests.',
  starting: 'Its processes are starting.',
  degraded: 'It answers; a process of it died and is being replaced.',
  failed: 'It does not answer.',
  stopped: 'No supervisor runs it now.'
};

export function Endpoints(props: { endpoints: readonly Endpoint[] }): JSX.Element {
  if (props.endpoints.length === 0) {
    return (
      <Empty title="Nothing is deployed.">
        Deploy a registered model in a notebook: <code>%deploy my-model</code>.
      </Empty>
    );
  }
  return (
    <ul className="dwcp-List" aria-label="Endpoints">
      {props.endpoints.map(endpoint => (
        <EndpointRow key={endpoint.id} endpoint={endpoint} />
      ))}
    </ul>
  );
}

function EndpointRow({ endpoint }: { endpoint: Endpoint }): JSX.Element {
  const { figures, replicas } = endpoint;
  return (
    <li className="dwcp-Row">
      <div className="dwcp-Row-head">
        <span className={`dwcp-Dot dwcp-mod-${endpoint.status}`} aria-hidden={true} />
        <span className="dwcp-Row-name" title={endpoint.name}>
          {endpoint.name}
        </span>
        <span className="dwcp-Row-aside" title={MEANING[endpoint.status]}>
          {endpoint.status}
        </span>
      </div>
      <div className="dwcp-Row-body">
        <div className="dwcp-Endpoint-reference" title={endpoint.reference}>
          {endpoint.reference}
        </div>
        <div className="dwcp-Badges">
          <span
            className="dwcp-Tag"
            title={
              (endpoint.is_compiled
                ? 'Compiled to ONNX; runs in the gateway itself.'
                : 'Runs in processes of its own, in its own framework.') + `\n${endpoint.execution_reason}`
            }
          >
            {endpoint.is_compiled ? 'compiled' : 'native'}
          </span>
          <span className="dwcp-Tag" title="Processes that have the model loaded, of those wanted.">
            {replicas.ready}/{format.plural(replicas.wanted, 'replica')}
          </span>
        </div>
        {endpoint.reason === null ? null : <p className="dwcp-Problem">{endpoint.reason}</p>}
        {figures === null ? null : (
          <dl className="dwcp-Figures">
            <Figure name="Requests" value={format.count(figures.requests)} title={`${format.exact(figures.requests)} since it came up`} />
            <Figure name="p50" value={percentile(figures.requests, figures.p50_latency_ms)} title="Half of the last five minutes' requests were faster." />
            <Figure name="p95" value={percentile(figures.requests, figures.p95_latency_ms)} title="95% of the last five minutes' requests were faster." />
            <Figure
              name="Errors"
              value={format.count(figures.errors)}
              title={`${(100 * figures.error_rate).toFixed(2)}% of the requests`}
              isBad={figures.errors > 0}
            />
          </dl>
        )}
      </div>
    </li>
  );
}

function percentile(requests: number, value: number): string {
  return requests === 0 || value === 0 ? '–' : format.latency(value);
}

function Figure(props: { name: string; value: string; title: string; isBad?: boolean }): JSX.Element {
  return (
    <div className="dwcp-Figure" title={props.title}>
      <dt>{props.name}</dt>
      <dd className={props.isBad ? 'dwcp-mod-bad' : undefined}>{props.value}</dd>
    </div>
  );
}
