/** The section that lists models; a model unfolds into its versions. */

import { caretDownIcon, caretRightIcon, ellipsesIcon } from '@jupyterlab/ui-components';
import React from 'react';

import type { Model, Version, VersionList } from './api';
import * as format from './format';
import { Badge, Empty, Metrics, More, useAnswer } from './parts';

type LoadVersions = (model: string, limit: number) => Promise<VersionList>;

/** Show what can be done with a version, below the button that was pressed. */
export type OpenMenu = (button: HTMLElement, model: string, version: Version) => void;

/** How many versions are listed at once; the server gives so many at most. */
const PAGE = 20;
const LONGEST_PAGE = 1000;
const STAGES = ['production', 'staging', 'development', 'archived'];

export function Models(props: {
  models: readonly Model[];
  versions: LoadVersions;
  openMenu: OpenMenu;
  showMore: (() => void) | null;
}): JSX.Element {
  if (props.models.length === 0) {
    return (
      <Empty title="No model is registered yet.">
        Register one in a notebook: <code>%load_ext dwcp_jupyter</code>, then <code>%%register my-model</code> above the
        code that trains it.
      </Empty>
    );
  }
  return (
    <>
      <ul className="dwcp-List" aria-label="Models">
        {props.models.map(model => (
          <ModelRow key={model.id} model={model} versions={props.versions} openMenu={props.openMenu} />
        ))}
      </ul>
      {props.showMore === null ? null : <More what="models" onClick={props.showMore} />}
    </>
  );
}

function ModelRow(props: {
  model: Model;
  versions: LoadVersions;
  openMenu: OpenMenu;
}): JSX.Element {
  const { model } = props;
  const [isOpen, setOpen] = React.useState(false);
  const listId = `dwcp-versions-${model.id}`;
  const Caret = isOpen ? caretDownIcon : caretRightIcon;
  const staged = STAGES.filter(stage => model.stages[stage] !== undefined);
  return (
    <li className="dwcp-Row">
      <button
        type="button"
        className="dwcp-Row-head"
        aria-expanded={isOpen}
        aria-controls={isOpen ? listId : undefined}
        onClick={() => setOpen(!isOpen)}
      >
        <Caret.react tag="span" className="dwcp-Row-caret" aria-hidden={true} />
        <span className="dwcp-Row-name" title={model.description || model.name}>
          {model.name}
        </span>
        <span className="dwcp-Row-aside" title={`${format.plural(model.version_count, 'version')}, changed ${format.exactTime(model.updated_at)}`}>
          {model.latest ?? 'no version'}
        </span>
      </button>
      <div className="dwcp-Row-body">
        <div className="dwcp-Badges">
          {staged.map(stage => (
            <Badge key={stage} kind={stage} label={stage} value={model.stages[stage]!} />
          ))}
          {Object.entries(model.aliases).map(([alias, version]) => (
            <Badge key={alias} kind="alias" label={`@${alias}`} value={version} />
          ))}
        </div>
        {isOpen ? (
          <Versions id={listId} model={model} load={props.versions} openMenu={props.openMenu} />
        ) : (
          <Metrics metrics={model.metrics} most={3} />
        )}
      </div>
    </li>
  );
}

function Versions(props: {
  id: string;
  model: Model;
  load: LoadVersions;
  openMenu: OpenMenu;
}): JSX.Element {
  const { model, load } = props;
  const [limit, setLimit] = React.useState(PAGE);
  const { found, problem } = useAnswer(() => load(model.name, limit), [load, model, limit]);
  if (problem !== null) {
    return <p className="dwcp-Problem" role="alert">{problem}</p>;
  }
  return (
    <>
      <ul id={props.id} className="dwcp-Versions" aria-label={`Versions of ${model.name}`} aria-busy={found === null}>
        {(found?.versions ?? []).map(version => (
          <li key={version.id} className="dwcp-Version">
            <div className="dwcp-Version-head">
              <span className="dwcp-Version-number">{version.version}</span>
              <div className="dwcp-Badges">
                <Badge kind={version.is_draft ? 'draft' : version.stage} label={version.is_draft ? 'draft' : version.stage} />
                {version.aliases.map(alias => (
                  <Badge key={alias} kind="alias" label={`@${alias}`} />
                ))}
              </div>
              {version.created_at === null ? null : (
                <time className="dwcp-Row-aside" dateTime={version.created_at} title={format.exactTime(version.created_at)}>
                  {format.ago(version.created_at)}
                </time>
              )}
              <button
                type="button"
                className="dwcp-More"
                aria-haspopup="menu"
                aria-label={`Actions for ${version.reference}`}
                title="Move, ask for approval, alias"
                onClick={event => props.openMenu(event.currentTarget, model.name, version)}
              >
                <ellipsesIcon.react tag="span" aria-hidden={true} />
              </button>
            </div>
            {version.changelog ? <div className="dwcp-Version-note">{version.changelog}</div> : null}
            <Metrics metrics={version.metrics} most={6} />
          </li>
        ))}
      </ul>
      {found === null || found.next === null || limit >= LONGEST_PAGE ? null : (
        <More what="versions" onClick={() => setLimit(Math.min(limit + PAGE, LONGEST_PAGE))} />
      )}
    </>
  );
}
