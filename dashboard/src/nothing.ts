// What stands for the parts of Node.js that a browser has not, and that nobody calls.
export default {};
