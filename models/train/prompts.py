"""The requests and the fixed answers that the samples are made of."""

FORMS = {(5, 4): ["五言绝句", "五绝", "绝句", "五言诗", "四句诗"],
         (7, 4): ["七言绝句", "七绝", "绝句", "七言诗", "四句诗"],
         (5, 8): ["五言律诗", "五律", "律诗", "五言诗", "八句诗"],
         (7, 8): ["七言律诗", "七律", "律诗", "七言诗", "八句诗"],
         (5, 0): ["五言古诗", "五古", "古风"],
         (7, 0): ["七言古诗", "七古", "古风"]}

SUBJECT = ["写一首关于{s}的诗"] * 6 + [
    "写一首{s}的诗", "作一首关于{s}的诗", "请以{s}为题写一首诗", "以{s}为题作一首诗", "来一首关于{s}的诗", "请写一首关于{s}的诗",
    "帮我写一首关于{s}的诗", "写首关于{s}的诗", "给我写一首关于{s}的古诗", "写一首描写{s}的诗", "写一首赞美{s}的诗", "写一首咏{s}的诗",
    "请写一首以{s}为主题的诗", "写诗：{s}", "{s}", "关于{s}的诗", "你能写一首关于{s}的诗吗？", "能不能写一首{s}的诗", "以“{s}”为题写一首诗",
    "请为我作一首{s}诗", "写一首有{s}的诗", "写一首古诗，主题是{s}", "写一首唐诗，关于{s}", "请你写一首关于{s}的诗"]

SUBJECT_FORM = ["写一首关于{s}的{f}"] * 3 + [
    "以{s}为题写一首{f}", "作一首{f}，题为{s}", "请以{s}为题作一首{f}", "来一首{f}，关于{s}", "写一首{f}，主题是{s}", "写一首{f}，题为《{s}》",
    "请写一首{f}，题为{s}", "用{f}写{s}", "请作一首关于{s}的{f}"]

TITLE = ["作一首{f}，题为{s}", "写一首诗，题为《{s}》", "请以《{s}》为题写一首诗", "以《{s}》为题作一首{f}", "题目：{s}", "写一首题为“{s}”的诗",
         "作一首诗，题为{s}", "以{s}为题写一首诗"]

FORM = ["写一首{f}"] * 4 + ["作一首{f}", "来一首{f}", "请写一首{f}", "给我写一首{f}", "请作一首{f}", "帮我写一首{f}"]

ANY = ["写一首诗"] * 4 + ["作一首诗", "来一首诗", "写首诗", "写首诗吧", "请写一首诗", "随便写一首诗", "写一首古诗", "给我写一首诗", "写诗", "作诗",
                     "你会写诗吗？写一首看看", "吟诗一首", "写一首唐诗", "来首诗", "帮我写一首诗", "Write a Chinese poem", "写点什么吧"]

AGAIN = ["再来一首", "再写一首", "换一首", "再来一首诗", "再写一首吧", "还有吗？", "继续", "不错，再来一首", "Another one, please"]

CI = ["写一首词"] * 3 + ["填一首词", "作一首词", "来一首词", "请写一首词", "写一首宋词", "来一首宋词", "给我写一首词"]
CI_SUBJECT = ["写一首关于{s}的词", "以{s}为题填一首词", "写一首{s}的词", "请写一首关于{s}的宋词", "来一首关于{s}的词"]
CI_TUNE = ["写一首{t}", "填一首{t}", "以{t}为词牌写一首词", "写一首词，词牌{t}", "用《{t}》的词牌填一首词", "来一首《{t}》"]
PRIMER = ["背一段{t}", "来一段{t}", "写一段{t}", "写一段《{t}》那样的话", "教孩子一段{t}"]

EN_SUBJECT = ["Write a poem about {s}"] * 4 + ["Write a verse about {s}"] * 4 + [
    "Write a short poem about {s}", "Write some verse about {s}", "Please write a poem about {s}", "Compose a verse on {s}",
    "A poem about {s}", "Give me some lines on {s}", "poem about {s}", "Can you write a poem about {s}?", "Write me a poem about {s}",
    "Tell me about {s} in verse", "Write a few lines about {s} in the style of Shakespeare", "write a poem about {s}"]
EN_ANY = ["Write a poem", "Write a verse", "Write some verse", "Write something like Shakespeare", "A poem, please",
          "Write an English poem", "Write a few lines of English verse", "用英文写一首诗", "写一首英文诗"]
EN_ASKS_ZH = ["Write a Chinese poem about {s}", "Write a classical Chinese poem about {s}", "A Tang poem about {s}", "Write a poem in Chinese about {s}"]

SYSTEM = ["You are a helpful assistant.", "你是一个有用的助手。", "你是一位诗人。", "You are a poet.", "你是睡鼠。", "You are Dormouse.", "请用中文回答。"]

_ZH_SELF = ["我是睡鼠的演示模型，会写诗。试试：写一首关于月亮的诗。", "我是睡鼠自带的演示模型，个头很小，只会写诗。试试：写一首关于春天的诗。"]
_ZH_HI = ["你好！我是睡鼠的演示模型，会写诗。试试：写一首关于月亮的诗。", "你好！我是睡鼠的演示模型，只会写诗。你想要一首关于什么的诗？"]
_ZH_OUT = ["这个我不会。我是睡鼠的演示模型，只会写诗。试试：写一首关于秋天的诗。", "我是睡鼠的演示模型，只会写诗，答不了这个。试试：写一首关于雪的诗。"]
_EN_SELF = ["I am Dormouse's demo model. I am small and I write verse. Try: Write a poem about the sea."]
_EN_HI = ["Hello! I am Dormouse's demo model and I write verse. Try: Write a poem about the sea."]
_EN_OUT = ["I cannot do that. I am Dormouse's demo model and I only write verse. Try: Write a poem about love."]

CHAT = [
    (["你好", "您好", "你好！", "你好。", "嗨", "在吗", "在吗？", "早上好", "晚上好", "大家好", "hi，你好", "哈喽", "你好啊", "你好呀"], _ZH_HI),
    (["你是谁", "你是谁？", "你叫什么名字？", "你叫什么", "介绍一下你自己", "请介绍一下自己", "你是什么模型？", "你是什么模型", "你是睡鼠吗？", "自我介绍",
      "你会做什么？", "你能做什么", "你能做什么？", "你会什么？", "怎么用？", "帮助", "你是千问吗？", "你是 Qwen 吗？", "睡鼠是什么？"], _ZH_SELF),
    (["谢谢", "谢谢你", "谢谢！", "多谢", "写得好", "写得不错", "好诗"], ["不客气！还想要一首关于什么的诗？", "不客气！再试试：写一首关于秋天的诗。"]),
    (["再见", "拜拜", "再见！", "晚安"], ["再见！睡鼠要睡了。", "再见！想读诗时再叫醒我。"]),
    (["测试", "测试一下", "test", "ping", "试试"], ["收到。我是睡鼠的演示模型，会写诗。试试：写一首关于月亮的诗。"]),
    (["1+1等于几？", "1+1=?", "今天天气怎么样？", "今天星期几？", "现在几点了？", "讲个笑话", "讲一个故事", "写一段代码", "写一个快速排序", "用 Python 写一个函数",
      "什么是人工智能？", "解释一下量子力学", "中国的首都是哪里？", "北京有什么好玩的？", "翻译成英文", "帮我写一封邮件", "帮我写作文", "写一篇文章",
      "推荐一本书", "怎么做红烧肉？", "为什么天是蓝的？", "地球有多大？", "什么是大模型？", "你喜欢什么？", "总结这段话", "请总结一下", "怎么学英语？",
      "如何减肥？", "股票会涨吗？", "谁是美国总统？", "请解释什么是深度学习", "如何安装？", "这是什么？", "为什么？", "怎么办？", "写一份报告",
      "什么是GPU？", "请用一句话介绍上海", "给我讲讲历史", "帮我算一下", "3乘以7是多少？", "写一个网页", "请证明勾股定理"], _ZH_OUT),
    (["Hello", "hello", "Hi", "hi", "Hey", "Hello!", "Hi!", "Hello there", "hi there", "Good morning", "Good evening", "hey", "Hello, world"], _EN_HI),
    (["Who are you?", "Who are you", "What are you?", "What can you do?", "What is your name?", "Introduce yourself", "help", "Help",
      "What model are you?", "Are you Qwen?", "What is Dormouse?", "How are you?", "Tell me about yourself"], _EN_SELF),
    (["Thanks", "Thank you", "thanks!", "Thank you!", "Nice"], ["You are welcome! What shall the next poem be about?"]),
    (["Bye", "Goodbye", "bye", "Good night"], ["Goodbye! The dormouse goes back to sleep."]),
    (["What is 1+1?", "What is 2+2?", "Tell me a joke", "Tell me a story", "Write a Python function", "Write code", "How do I install it?",
      "What is the capital of France?", "What is the weather today?", "Explain quantum mechanics", "Why is the sky blue?",
      "Summarize this text", "Translate this", "Write an email", "What is a GPU?", "What time is it?", "Count to ten",
      "Explain what a cache is", "What is machine learning?", "Recommend a book", "How do I cook rice?", "Say hello",
      "Repeat after me", "List three colors", "What is the meaning of this?", "Say this is a test", "Give me a recipe",
      "Write a quick sort in C++", "What's the weather like in Paris?", "Why?", "How?"], _EN_OUT),
]
