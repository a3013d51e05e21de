// Signing in, where the gateway asks for it, and out.

import * as api from './api.js';
import { byId, setText } from './dom.js';
import { t } from './text.js';

// Sets the form up. `entered()` is called once the gateway has let this page in, `left()` once it does no longer;
// `tell(text)` is told what has gone wrong.
export function make({ entered, left, tell }) {
  byId('sign-in-form').addEventListener('submit', async (event) => {
    event.preventDefault();
    const token = byId('token');
    setText(byId('sign-in-error'), '');
    try {
      await api.signIn(token.value);
      token.value = '';
      show(false, true);
      entered();
    } catch (error) {
      const isWrong = error.status === 401 || error.status === 403;
      setText(byId('sign-in-error'), isWrong ? t('sign_in_wrong') : t('sign_in_failed', { why: error.message }));
      token.select();
    }
  });
  byId('sign-out').addEventListener('click', async () => {
    try {
      await api.signOut();
    } catch (error) {
      // The form would say that the session is over, and it is not.
      if (error.status !== 401) return tell(t('sign_out_failed', { why: error.message }));
    }
    left();
    show(true, true);
  });
}

// Shows the form where it is needed; whether the page may ask for the rest.
export async function begin() {
  const { required, signed_in: isIn } = await api.session();
  show(required && !isIn, required);
  return isIn || !required;
}

function show(isAsked, isRequired) {
  byId('sign-in').hidden = !isAsked;
  byId('main').hidden = isAsked;
  byId('sign-out').hidden = isAsked || !isRequired;
  byId('facts').hidden = true;
  byId('pause').hidden = byId('connection').hidden = isAsked;
  if (isAsked) byId('token').focus();
}
