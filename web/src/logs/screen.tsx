export const LogsScreen = ({ chosen }: { chosen: string }) => <h1>{chosen}</h1>;
