export const CostScreen = ({ chosen }: { chosen: string }) => <h1>{chosen}</h1>;
