/** Questions before a change, and what the server said when it refused one. */

import { Dialog, ReactWidget, showDialog } from '@jupyterlab/apputils';
import React from 'react';

import { ClientError } from './client';

export interface Question {
  readonly title: string;
  /** What happens, one paragraph each. */
  readonly text: readonly string[];
  /** What the button says that does it. */
  readonly action: string;
  /** Whether that takes something away. */
  readonly isWarning?: boolean;
  /** A text to ask for: its name, and whether it is one line that must not be empty. */
  readonly field?: { readonly label: string; readonly isLine?: boolean };
}

/** The text that was given, empty without a field; null if it was called off. */
export async function ask(question: Question): Promise<string | null> {
  const button = question.isWarning ? Dialog.warnButton : Dialog.okButton;
  const result = await showDialog({
    title: question.title,
    body: new Form(question),
    buttons: [Dialog.cancelButton(), button({ label: question.action })],
    defaultButton: question.isWarning ? 0 : 1,
    ...(question.field === undefined ? {} : { focusNodeSelector: '.dwcp-Form-field' })
  });
  const text = (result.value ?? '').trim();
  return result.button.accept && !(question.field?.isLine && text === '') ? text : null;
}

/**
 * Say why something was refused: the reason, then each failed check.
 *
 * @param offer what else could be done
 * @returns whether that was chosen
 */
export async function showRefusal(error: unknown, offer?: string): Promise<boolean> {
  const result = await showDialog({
    title: error instanceof ClientError && error.status < 500 && error.status !== 0 ? 'Refused' : 'Failed',
    body: new Refusal(error),
    buttons: [
      ...(offer === undefined ? [] : [Dialog.okButton({ label: offer })]),
      Dialog.cancelButton({ label: 'Close' })
    ]
  });
  return result.button.accept;
}

class Form extends ReactWidget implements Dialog.IBodyWidget<string> {
  constructor(private readonly question: Question) {
    super();
    this.addClass('dwcp-Form');
  }

  getValue(): string {
    return this.field.current?.value ?? '';
  }

  protected override render(): JSX.Element {
    const { text, field } = this.question;
    return (
      <>
        {text.map((paragraph, index) => (
          <p key={index}>{paragraph}</p>
        ))}
        {field === undefined ? null : (
          <label>
            {field.label}
            {field.isLine ? (
              <input ref={this.field as React.Ref<HTMLInputElement>} className="dwcp-Form-field" spellCheck={false} />
            ) : (
              <textarea ref={this.field as React.Ref<HTMLTextAreaElement>} className="dwcp-Form-field" rows={4} />
            )}
          </label>
        )}
      </>
    );
  }

  private readonly field = React.createRef<HTMLInputElement | HTMLTextAreaElement>();
}

class Refusal extends ReactWidget {
  constructor(private readonly error: unknown) {
    super();
    this.addClass('dwcp-Form');
    this.node.setAttribute('role', 'alert');
  }

  protected override render(): JSX.Element {
    const { reason, failures, remedy } = partsOf(this.error);
    return (
      <>
        <p>{reason}</p>
        {failures.length === 0 ? null : (
          <ul className="dwcp-Checks">
            {failures.map(failure => (
              <li key={failure} className="dwcp-Check dwcp-mod-failed">
                {failure}
              </li>
            ))}
          </ul>
        )}
        {remedy === '' ? null : <p>{remedy}</p>}
      </>
    );
  }
}

/** The message with its list of failures taken out, since that is shown as a list. */
function partsOf(error: unknown): { reason: string; failures: readonly string[]; remedy: string } {
  const message = error instanceof Error ? error.message : String(error);
  const failures = error instanceof ClientError ? error.failures : [];
  const list = failures.join('; ');
  const start = failures.length === 0 ? -1 : message.indexOf(list);
  if (start < 0) {
    return { reason: message, failures, remedy: '' };
  }
  return {
    reason: message.slice(0, start).trim(),
    failures,
    remedy: message.slice(start + list.length).replace(/^\W+/, '')
  };
}
