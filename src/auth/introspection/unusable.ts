/** An answer that is no answer: whoever asked must treat it as the authorization server's failure. */
export class InvalidAnswer extends Error {
  constructor(problem: string) {
    super(problem);
    this.name = 'InvalidAnswer';
  }
}
