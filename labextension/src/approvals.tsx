/** The section that lists what waits for a decision: who asks, for what, why, and what speaks for it. */

import React from 'react';

import type { Actions } from './actions';
import type { Actor, Approval, ApprovalList } from './api';
import * as format from './format';
import { Badge, Empty, Metrics } from './parts';

export function Approvals(props: { approvals: ApprovalList; actor: Actor; actions: Actions }): JSX.Element {
  const { approvals, total } = props.approvals;
  if (total === 0) {
    return (
      <Empty title="Nothing waits for a decision.">
        Ask in a notebook: <code>%promote my-model@1.0.0 production --ask WHY</code>, or in the menu of a version above.
      </Empty>
    );
  }
  return (
    <>
      <p className="dwcp-Signature" title={PROOF[props.actor.assurance]}>
        You decide as <strong>{props.actor.name}</strong>, {props.actor.assurance}.
      </p>
      <ul className="dwcp-List" aria-label="Approvals">
        {approvals.map(approval => (
          <ApprovalRow key={approval.id} approval={approval} actions={props.actions} />
        ))}
      </ul>
      {total > approvals.length ? (
        <p className="dwcp-Signature">The newest {approvals.length} of {format.exact(total)}.</p>
      ) : null}
    </>
  );
}

const PROOF: Readonly<Record<Actor['assurance'], string>> = {
  authenticated: 'The Jupyter server knows who you are.',
  asserted: 'The Jupyter server does not know who you are: whoever has its token or password is the same to it.'
};

function ApprovalRow({ approval, actions }: { approval: Approval; actions: Actions }): JSX.Element {
  return (
    <li className="dwcp-Row">
      <div className="dwcp-Row-head">
        <span className="dwcp-Row-name" title={approval.model}>
          {approval.model}
        </span>
        <time className="dwcp-Row-aside" dateTime={approval.requested_at} title={format.exactTime(approval.requested_at)}>
          {format.ago(approval.requested_at)}
        </time>
      </div>
      <div className="dwcp-Row-body dwcp-mod-flush">
        <div className="dwcp-Badges">
          {approval.from_stage === null ? null : (
            <>
              <Badge kind={approval.from_stage} label={approval.from_stage} />
              <span aria-label="to">→</span>
            </>
          )}
          <Badge kind={approval.stage.startsWith('@') ? 'alias' : approval.stage} label={approval.stage} />
        </div>
        <div className="dwcp-Version-note" title={`Request ${approval.id}, ${approval.assurance}`}>
          {approval.requested_by} asks{approval.justification === '' ? ' without a reason.' : `: “${approval.justification}”`}
        </div>
        <Metrics metrics={approval.metrics} most={4} />
        <Checks approval={approval} />
        {approval.decisions.map(decision => (
          <div key={decision.reviewer} className="dwcp-Version-note" title={`${format.exactTime(decision.time)}, ${decision.assurance}`}>
            {decision.reviewer} {decision.is_approved ? 'approved' : 'rejected'}
            {decision.comment === '' ? '.' : `: “${decision.comment}”`}
          </div>
        ))}
        <div className="dwcp-Version-note" title={`Good until ${format.exactTime(approval.expires_at)}`}>
          Lacks {approval.missing ?? 'nothing'}.
        </div>
        {approval.obstacle === null ? null : <div className="dwcp-Version-note">{approval.obstacle}</div>}
        {approval.obstacle === null || approval.may_reject ? (
          <div className="dwcp-Buttons">
            {approval.obstacle === null ? (
              <button type="button" className="jp-mod-styled jp-mod-accept" onClick={() => void actions.approve(approval)}>
                Approve
              </button>
            ) : null}
            {approval.may_reject ? (
              <button type="button" className="jp-mod-styled jp-mod-reject" onClick={() => void actions.reject(approval)}>
                Reject
              </button>
            ) : null}
          </div>
        ) : null}
      </div>
    </li>
  );
}

/** The failed checks one by one, the passed ones as a number. */
function Checks({ approval }: { approval: Approval }): JSX.Element | null {
  const failed = approval.checks.filter(check => !check.is_passed);
  const passed = approval.checks.filter(check => check.is_passed);
  if (approval.checks.length === 0) {
    return null;
  }
  return (
    <ul className="dwcp-Checks" aria-label={`Checks of ${approval.model}`}>
      {failed.map(check => (
        <li key={check.check} className="dwcp-Check dwcp-mod-failed">
          {check.check}: {check.found}
        </li>
      ))}
      {passed.length === 0 ? null : (
        <li className="dwcp-Check dwcp-mod-passed" title={passed.map(check => `${check.check}: ${check.found}`).join('\n')}>
          {format.plural(passed.length, 'check')} passed
        </li>
      )}
    </ul>
  );
}
