/**
 * What can be done from the panel: each asks first, tells the server, and shows why if it was refused.
 *
 * The server decides by who is signed in; nothing here says who acts.
 */

import type { Approval, Stage, Target, Version } from './api';
import { ClientError } from './client';
import { ask, showRefusal, type Question } from './dialogs';
import type { MenuItem } from './menu';
import type { Watcher } from './watcher';

/** Where a version may go from each stage. */
const STEPS: Readonly<Record<Stage, readonly Stage[]>> = {
  development: ['staging', 'archived'],
  staging: ['production', 'development', 'archived'],
  production: ['staging', 'archived'],
  archived: []
};

/** Show a version in a tab of its own. */
export type OpenVersion = (model: string, version: string) => void;

export class Actions {
  constructor(
    private readonly watcher: Watcher,
    private readonly open: OpenVersion
  ) {}

  /** What can be done with a version. */
  ofVersion(model: string, version: Version): readonly MenuItem[] {
    const steps = STEPS[version.stage].filter(stage => !version.is_draft || stage === 'archived');
    return [
      { label: 'Lineage and history', run: () => Promise.resolve(this.open(model, version.version)) },
      ...steps.map(stage => ({
        label: stage === 'archived' ? 'Archive…' : `Move to ${stage}…`,
        run: () => this.promote(model, version, stage)
      })),
      ...(steps.includes('production')
        ? [{ label: 'Ask for approval for production…', run: () => this.request(version, 'production') }]
        : []),
      ...(version.stage === 'production'
        ? [{ label: 'Roll back to the version before…', run: () => this.rollback(model, version) }]
        : []),
      { label: 'Set an alias…', run: () => this.setAlias(model, version) },
      ...version.aliases.map(alias => ({
        label: `Remove the alias ${alias}…`,
        run: () => this.removeAlias(model, version, alias)
      }))
    ];
  }

  async approve(approval: Approval): Promise<void> {
    const question: Question = {
      title: `Approve ${approval.model}?`,
      text: [
        approval.stage.startsWith('@')
          ? `${approval.stage} may then mean it, once nothing else is missing.`
          : `It may then go to ${approval.stage}, once nothing else is missing.`,
        this.signature()
      ],
      action: 'Approve',
      field: { label: 'Comment' }
    };
    await this.perform(question, comment =>
      this.watcher.change((client, workspace) => client.approve(workspace, approval.id, { comment }))
    );
  }

  async reject(approval: Approval): Promise<void> {
    const question: Question = {
      title: `Reject ${approval.model}?`,
      text: [`That ends the request for ${approval.stage}.`, this.signature()],
      action: 'Reject',
      isWarning: true,
      field: { label: 'Comment' }
    };
    await this.perform(question, comment =>
      this.watcher.change((client, workspace) => client.reject(workspace, approval.id, { comment }))
    );
  }

  private async promote(model: string, version: Version, stage: Stage): Promise<void> {
    const text = {
      archived: ['It cannot come back from there.'],
      production: ['The version that is in production now goes back to staging in the same moment.'],
      staging: [],
      development: []
    }[stage];
    const question: Question = {
      title: stage === 'archived' ? `Archive ${version.reference}?` : `Move ${version.reference} to ${stage}?`,
      text: [...text, this.signature()],
      action: stage === 'archived' ? 'Archive' : 'Move',
      isWarning: stage === 'archived'
    };
    const offer = { label: 'Ask for approval…', run: () => this.request(version, stage) };
    await this.perform(
      question,
      () => this.watcher.change((client, workspace) => client.promote(workspace, model, version.version, { stage })),
      offer
    );
  }

  /** Ask for a stage, or for an alias such as `@champion`. */
  private async request(version: Version, target: Target): Promise<void> {
    const question: Question = {
      title: target.startsWith('@')
        ? `Ask for ${target} to mean ${version.reference}?`
        : `Ask for ${version.reference} to go to ${target}?`,
      text: ['Somebody else decides. The request covers the model file and the metrics as they are now.', this.signature()],
      action: 'Ask',
      field: { label: 'Why' }
    };
    await this.perform(question, justification =>
      this.watcher.change((client, workspace) =>
        client.requestApproval(workspace, { model: version.reference, stage: target, justification })
      )
    );
  }

  private async rollback(model: string, version: Version): Promise<void> {
    let before: Version;
    try {
      before = await this.watcher.change((client, workspace) => client.rollback(workspace, model, { dry_run: true }));
    } catch (error) {
      await showRefusal(error);
      return;
    }
    const question: Question = {
      title: `Put ${before.reference} back into production?`,
      text: [`${version.reference} goes back to staging in the same moment.`, this.signature()],
      action: 'Roll back',
      isWarning: true
    };
    await this.perform(question, () =>
      this.watcher.change((client, workspace) => client.rollback(workspace, model, { expected: before.version }))
    );
  }

  private async setAlias(model: string, version: Version): Promise<void> {
    const question: Question = {
      title: `Set an alias for ${version.reference}`,
      text: [`${model}@ALIAS means this version from now on. An alias that another version has moves here.`],
      action: 'Set',
      field: { label: 'Alias', isLine: true }
    };
    let wanted = '';
    const offer = { label: 'Ask for approval…', run: () => this.request(version, `@${wanted}`) };
    await this.perform(
      question,
      alias => {
        wanted = alias.replace(/^@/, '');
        return this.watcher.change((client, workspace) =>
          client.setAlias(workspace, model, wanted, { version: version.version })
        );
      },
      offer
    );
  }

  private async removeAlias(model: string, version: Version, alias: string): Promise<void> {
    const question: Question = {
      title: `Remove the alias ${alias}?`,
      text: [`It means ${version.reference}. What asks for ${model}@${alias} finds nothing then.`],
      action: 'Remove',
      isWarning: true
    };
    await this.perform(question, () =>
      this.watcher.change((client, workspace) => client.removeAlias(workspace, model, alias))
    );
  }

  /** Ask, do, and show a refusal, with something else to do where an approval is what lacks. */
  private async perform(
    question: Question,
    act: (text: string) => Promise<unknown>,
    offer?: MenuItem
  ): Promise<void> {
    const text = await ask(question);
    if (text === null) {
      return;
    }
    try {
      await act(text);
    } catch (error) {
      const isUnapproved = error instanceof ClientError && error.kind === 'ApprovalError';
      if ((await showRefusal(error, isUnapproved ? offer?.label : undefined)) && offer !== undefined) {
        await offer.run();
      }
    }
  }

  /** As whom the record will name the one who does it. */
  private signature(): string {
    const actor = this.watcher.snapshot.status?.actor;
    if (actor === undefined) {
      return '';
    }
    return actor.assurance === 'authenticated'
      ? `It is recorded as done by ${actor.name}.`
      : `It is recorded as done by ${actor.name}, asserted: this server does not prove who you are.`;
  }
}
