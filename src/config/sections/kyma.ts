import { choice, each, list, text } from '../kinds.js';
import { optionalSection, section } from '../setting.js';
import { extAuthorizers } from './ext-authorizers.js';

/** `kyma`: settings of the Kyma cluster that its APIRules relied on. */
export const kyma = section(
  'Defaults that APIRules in Kyma got from its configuration of Ory Oathkeeper, for rules that do not set them themselves.',
  {
    jwksUrls: list(
      'Key sets for rules of the handler jwt without jwks_urls: http, https or file URLs. In Kyma, authenticators.jwt.config.jwks_urls of Oathkeeper. Empty: the keys that the metadata of each trusted issuer names.',
      [],
    ).check(
      each((url, place) => {
        if (!/^(https?:\/\/[^\s#@]+|file:\/\/\/[^\s?#]+)$/.test(url) || !URL.canParse(url)) {
          place.problem('must be an http, https or file URL without credentials');
        }
      }),
    ),
    trustedIssuers: list(
      'Issuers for rules of the handler jwt without trusted_issuers. The token must be from one of them; empty means any.',
      [],
    ),
    jwtScopeStrategy: choice(
      'How rules of the handler jwt compare scopes if they do not set scope_strategy. Kyma used wildcard. Absent: introspection.scopeStrategy.',
      ['exact', 'hierarchic', 'wildcard'],
    ),
    idToken: optionalSection(
      'For mutators id_token without issuer_url or jwks_url. Absent: scopegate signs with a key that it makes when it starts, and warns.',
      {
        issuerUrl: text('The issuer of the tokens (iss).').required(),
        jwksUrl: text('A file URL of the JWK Set with the private keys.')
          .check((url, place) => {
            if (!/^file:\/\/\/[^?#]+$/.test(url)) place.problem('must be a file URL with an absolute path');
          })
          .required(),
      },
    ),
    extAuthorizers,
    unserved: choice(
      'What scopegate does with an APIRule that it cannot serve. refuse: it refuses the whole set. leaveOut: it leaves the APIRule out with warnings, and its requests get 404; it is still an error if another APIRule serves one of its hosts.',
      ['refuse', 'leaveOut'],
      'refuse',
    ),
  },
);
